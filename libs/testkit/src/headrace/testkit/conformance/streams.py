"""What every Streams adapter promises. Bind it by a subclass with the fixture `open_streams`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import uuid4

import pytest

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Streams, Subscription
from headrace.testkit.waits import eventually

SOON_S = 5.0  # for what must come
SILENCE_S = 0.05  # for what must not


class OpenStreams(Protocol):
    def __call__(
        self, *, maxlen: int = 10_000, ttl_s: float = 60.0
    ) -> AbstractAsyncContextManager[Streams]: ...


def tokens(job: JobId, *texts: str, epoch: int = 1, first_seq: int | None = None) -> Batch:
    frames = [("token", text.encode()) for text in texts]
    return Batch(job=job, epoch=epoch, frames=frames, first_seq=first_seq)


def shown(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Entries, short enough to compare at a glance: position and data."""
    return [(str(entry.position), entry.data.decode()) for entry in entries]


async def everything(streams: Streams, job: JobId) -> list[tuple[str, str]]:
    return shown((await streams.read(job, START, limit=10_000)).entries)


async def taken(subscription: Subscription, count: int) -> list[tuple[str, str]]:
    """The next `count` live frames, however they are cut into turns."""
    entries: list[Entry] = []
    while len(entries) < count:
        turn = await subscription.next(SOON_S)
        assert turn, f"silence after {shown(entries)}"
        entries += turn
    return shown(entries)


class StreamsPromises:
    @pytest.fixture
    async def streams(self, open_streams: OpenStreams) -> AsyncGenerator[Streams]:
        async with open_streams() as streams:
            yield streams

    @pytest.fixture
    def job(self) -> JobId:
        return JobId(str(uuid4()))

    # --- Writing ---

    async def test_the_log_numbers_frames_that_come_without_numbers(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "queued", epoch=0)])
        await streams.append([tokens(job, "a", "b")])
        await streams.append([tokens(job, "c")])

        assert await everything(streams, job) == [
            ("0-1", "queued"), ("1-1", "a"), ("1-2", "b"), ("1-3", "c"),
        ]  # fmt: skip

    async def test_a_discarded_log_is_gone_and_its_neighbour_is_not(
        self, streams: Streams, job: JobId
    ) -> None:
        other, never = JobId(str(uuid4())), JobId(str(uuid4()))
        await streams.append([tokens(job, "a"), tokens(other, "b")])

        await streams.discard([job, never])
        await streams.discard([])

        assert await everything(streams, job) == []
        assert await everything(streams, other) == [("1-1", "b")]

    async def test_nothing_brings_a_discarded_log_back(self, streams: Streams, job: JobId) -> None:
        await streams.append([tokens(job, "a", epoch=3)])
        await streams.discard([job])

        verdicts = await streams.append(
            [tokens(job, "late", epoch=3, first_seq=2), tokens(job, "later", epoch=9)]
        )

        assert verdicts == [Verdict.STALE, Verdict.STALE]
        assert await everything(streams, job) == []

    async def test_frames_keep_the_numbers_they_bring(self, streams: Streams, job: JobId) -> None:
        await streams.append([tokens(job, "a", "b", epoch=3, first_seq=7)])

        assert await everything(streams, job) == [("3-7", "a"), ("3-8", "b")]

    async def test_types_and_bytes_come_back_as_they_were(
        self, streams: Streams, job: JobId
    ) -> None:
        data = bytes(range(256)) + "Straße \r\n 水".encode()

        await streams.append([Batch(job, 1, [("preview", data), ("log", b"")])])

        page = await streams.read(job, START, limit=10)
        assert [(e.type, e.data) for e in page.entries] == [("preview", data), ("log", b"")]

    async def test_an_older_epoch_is_refused_and_leaves_no_trace(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "new", epoch=3)])

        verdicts = await streams.append(
            [tokens(job, "late", epoch=2, first_seq=9), tokens(job, "late", epoch=2)]
        )

        assert verdicts == [Verdict.STALE, Verdict.STALE]
        assert await everything(streams, job) == [("3-1", "new")]

    async def test_a_batch_that_is_sent_twice_is_kept_once(
        self, streams: Streams, job: JobId
    ) -> None:
        batch = tokens(job, "a", "b", first_seq=1)

        verdicts = await streams.append([batch]) + await streams.append([batch])

        assert verdicts == [Verdict.APPLIED, Verdict.APPLIED]
        assert await everything(streams, job) == [("1-1", "a"), ("1-2", "b")]

    async def test_of_an_overlapping_batch_only_the_new_frames_are_kept(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "a", "b", first_seq=1)])

        await streams.append([tokens(job, "b", "c", "d", first_seq=2)])

        assert await everything(streams, job) == [
            ("1-1", "a"), ("1-2", "b"), ("1-3", "c"), ("1-4", "d"),
        ]  # fmt: skip

    async def test_verdicts_come_in_the_order_of_the_batches(
        self, streams: Streams, job: JobId
    ) -> None:
        other = JobId(str(uuid4()))

        verdicts = await streams.append(
            [tokens(job, "x", epoch=2), tokens(job, "y", epoch=1), tokens(other, "z", epoch=1)]
        )

        assert verdicts == [Verdict.APPLIED, Verdict.STALE, Verdict.APPLIED]

    async def test_a_batch_without_frames_is_applied(self, streams: Streams, job: JobId) -> None:
        assert await streams.append([tokens(job)]) == [Verdict.APPLIED]
        assert await streams.append([]) == []

    # --- Reading ---

    async def test_an_empty_log_never_reaches(self, streams: Streams, job: JobId) -> None:
        page = await streams.read(job, START, limit=10)

        assert (list(page.entries), page.reaches) == ([], False)

    async def test_pages_continue_where_the_last_one_ended(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "q", epoch=0), tokens(job, "a", "b")])

        first = await streams.read(job, START, limit=2)
        second = await streams.read(job, first.entries[-1].position, limit=2)
        third = await streams.read(job, second.entries[-1].position, limit=2)

        assert [shown(p.entries) for p in (first, second, third)] == [
            [("0-1", "q"), ("1-1", "a")], [("1-2", "b")], [],
        ]  # fmt: skip
        assert first.reaches
        assert second.reaches
        assert third.reaches

    async def test_a_log_without_its_first_frame_does_not_reach_from_the_start(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "a", "b", first_seq=1)])

        page = await streams.read(job, START, limit=1)

        assert (shown(page.entries), page.reaches) == ([("1-1", "a")], False)

    async def test_a_position_that_was_never_there_is_not_reached(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "q", epoch=0), tokens(job, "a", first_seq=5)])

        before = await streams.read(job, Position(1, 2), limit=10)
        beyond = await streams.read(job, Position(9, 9), limit=10)

        assert (shown(before.entries), before.reaches) == ([("1-5", "a")], False)
        assert (shown(beyond.entries), beyond.reaches) == ([], False)

    async def test_a_log_is_bounded_and_what_was_trimmed_is_not_reached(
        self, open_streams: OpenStreams, job: JobId
    ) -> None:
        async with open_streams(maxlen=3) as streams:
            await streams.append([tokens(job, "q", epoch=0), tokens(job, "a", "b")])
            await streams.append([tokens(job, "c", "d")])

            lost = await streams.read(job, Position(1, 1), limit=10)
            from_the_start = await streams.read(job, START, limit=10)
            kept = await streams.read(job, Position(1, 2), limit=10)

        assert not lost.reaches
        assert not from_the_start.reaches
        assert kept.reaches
        assert shown(lost.entries) == [("1-2", "b"), ("1-3", "c"), ("1-4", "d")]

    async def test_a_batch_longer_than_the_log_leaves_its_end(
        self, open_streams: OpenStreams, job: JobId
    ) -> None:
        async with open_streams(maxlen=2) as streams:
            await streams.append([tokens(job, "a", "b", "c", "d")])

            assert await everything(streams, job) == [("1-3", "c"), ("1-4", "d")]

    async def test_the_fence_holds_where_the_frames_were_trimmed(
        self, open_streams: OpenStreams, job: JobId
    ) -> None:
        async with open_streams(maxlen=1) as streams:
            await streams.append([tokens(job, "a", "b", epoch=2)])

            verdicts = await streams.append([tokens(job, "late", first_seq=1)])
            again = await streams.append([tokens(job, "a", epoch=2, first_seq=1)])

            assert (verdicts, again) == ([Verdict.STALE], [Verdict.APPLIED])
            assert await everything(streams, job) == [("2-2", "b")]

    async def test_a_log_is_forgotten_after_its_time(
        self, open_streams: OpenStreams, job: JobId
    ) -> None:
        async with open_streams(ttl_s=0.05) as streams:
            await streams.append([tokens(job, "a")])

            async def forgotten() -> bool:
                return await everything(streams, job) == []

            await eventually(forgotten)

    # --- Following ---

    async def test_live_frames_come_in_order(self, streams: Streams, job: JobId) -> None:
        async with streams.follow(job) as subscription:
            for text in "abcdef":
                await streams.append([tokens(job, text)])

            assert await taken(subscription, 6) == [
                (f"1-{seq}", text) for seq, text in enumerate("abcdef", start=1)
            ]

    async def test_nothing_is_missed_once_the_subscription_is_entered(
        self, streams: Streams
    ) -> None:
        for _ in range(50):
            job = JobId(str(uuid4()))
            async with streams.follow(job) as subscription:
                await streams.append([tokens(job, "at once")])

                assert await taken(subscription, 1) == [("1-1", "at once")]

    async def test_following_again_right_after_leaving_misses_nothing(
        self, streams: Streams, job: JobId
    ) -> None:
        for seq in range(1, 51):
            async with streams.follow(job) as subscription:
                await streams.append([tokens(job, "x", first_seq=seq)])

                assert await taken(subscription, 1) == [(f"1-{seq}", "x")]

    async def test_every_follower_sees_every_frame_of_its_job_and_of_no_other(
        self, streams: Streams, job: JobId
    ) -> None:
        other = JobId(str(uuid4()))
        async with streams.follow(job) as one, streams.follow(job) as two:
            await streams.append([tokens(other, "not ours"), tokens(job, "a", "b")])

            assert await taken(one, 2) == [("1-1", "a"), ("1-2", "b")]
            assert await taken(two, 2) == [("1-1", "a"), ("1-2", "b")]

    async def test_who_stays_still_hears_when_another_leaves(
        self, streams: Streams, job: JobId
    ) -> None:
        async with streams.follow(job) as stays:
            async with streams.follow(job):
                pass

            await streams.append([tokens(job, "a")])

            assert await taken(stays, 1) == [("1-1", "a")]

    async def test_what_the_log_did_not_take_is_not_published(
        self, streams: Streams, job: JobId
    ) -> None:
        await streams.append([tokens(job, "a", "b", epoch=2, first_seq=1)])
        async with streams.follow(job) as subscription:
            await streams.append([tokens(job, "late", epoch=1)])
            await streams.append([tokens(job, "a", "b", epoch=2, first_seq=1)])
            await streams.append([tokens(job, "b", "c", epoch=2, first_seq=2)])

            assert await taken(subscription, 1) == [("2-3", "c")]

    async def test_another_epoch_comes_through_the_same_subscription(
        self, streams: Streams, job: JobId
    ) -> None:
        async with streams.follow(job) as subscription:
            await streams.append([tokens(job, "a", epoch=1), tokens(job, "b", epoch=3)])

            assert await taken(subscription, 2) == [("1-1", "a"), ("3-1", "b")]

    async def test_live_types_and_bytes_come_as_they_were(
        self, streams: Streams, job: JobId
    ) -> None:
        data = bytes(range(256)) + "水\n".encode()
        async with streams.follow(job) as subscription:
            await streams.append([Batch(job, 1, [("preview", data), ("log", b"")])])

            entries = await subscription.next(SOON_S)

        assert [(e.type, e.data) for e in entries] == [("preview", data), ("log", b"")]

    async def test_what_a_follower_takes_at_once_is_not_returned_and_the_rest_is(
        self, streams: Streams, job: JobId
    ) -> None:
        at_once: list[Entry] = []

        def take(entries: Sequence[Entry]) -> bool:
            if len(at_once) == 2:
                return False
            at_once.extend(entries)
            return True

        async def say(texts: str) -> None:
            for text in texts:
                await streams.append([tokens(job, text)])

        async with streams.follow(job) as subscription, asyncio.TaskGroup() as tasks:
            tasks.create_task(say("abcd"))
            rest = list(await subscription.next(SOON_S, take))
            while len(at_once) + len(rest) < 4:
                rest += await subscription.next(SOON_S, take)

        assert shown(at_once) == [("1-1", "a"), ("1-2", "b")]
        assert shown(rest) == [("1-3", "c"), ("1-4", "d")]

    async def test_silence_is_an_empty_turn(self, streams: Streams, job: JobId) -> None:
        async with streams.follow(job) as subscription:
            assert list(await subscription.next(SILENCE_S)) == []

    async def test_a_follower_who_does_not_take_is_told_to_look_and_then_goes_on(
        self, streams: Streams, job: JobId
    ) -> None:
        async with streams.follow(job) as slow, streams.follow(job) as fast:
            for seq in range(1, 1001):
                await streams.append([tokens(job, "x", first_seq=seq)])
                await taken(fast, 1)

            told = await slow.next(SOON_S)
            await streams.append([tokens(job, "after", first_seq=1001)])

            async def caught_up() -> bool:
                turn = shown(await slow.next(SOON_S))
                return bool(turn) and turn[-1] == ("1-1001", "after")

            assert list(told) == []
            await eventually(caught_up)

    async def test_it_says_that_it_is_there(self, streams: Streams) -> None:
        await streams.ping()
