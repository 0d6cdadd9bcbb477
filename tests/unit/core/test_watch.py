"""Watching a job through everything that can go wrong between its log and the watcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

import pytest

from headrace.contracts.frames import Reset, decode_frame
from headrace.contracts.ids import Position
from headrace.core.job import Job, State
from headrace.core.ports.streams import Batch
from headrace.core.usecases.watch import PAGE, watch
from headrace.testkit.faulty_streams import FaultyStreams
from headrace.testkit.waits import eventually
from headrace.testkit.watching import (
    JOB,
    QUEUED,
    QUIET_S,
    Record,
    Watching,
    the_end,
    tokens,
    watched_job,
)


def watching(streams: FaultyStreams, record: Record, **options: Any) -> AsyncGenerator[Any]:
    return watch(streams, record, JOB, quiet_s=QUIET_S, random=Random(1), **options)


async def told_in_the_end(streams: FaultyStreams, record: Record, **options: Any) -> list[str]:
    watcher = Watching()
    await watcher.run(watching(streams, record, **options))
    return watcher.told


@pytest.fixture
def streams() -> FaultyStreams:
    return FaultyStreams()


@pytest.fixture
def record() -> Record:
    return Record(watched_job())


async def test_the_whole_log_is_told_and_the_terminal_frame_ends_it(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, tokens(1, 1, 2), the_end(2), tokens(2, 2, 1)])

    assert await told_in_the_end(streams, record) == [
        "0-1 queued", "1-1", "1-2", "2-1 succeeded",
    ]  # fmt: skip


async def test_it_goes_on_after_the_position_it_is_given(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, tokens(1, 1, 3), the_end(2)])

    told = await told_in_the_end(streams, record, after=Position(1, 2))

    assert told == ["1-3", "2-1 succeeded"]


async def test_a_long_log_is_told_page_by_page(streams: FaultyStreams, record: Record) -> None:
    await streams.append([QUEUED, tokens(1, 1, 2 * PAGE), the_end(2)])
    watcher = Watching()

    await watcher.run(watching(streams, record))

    assert len(watcher.entries) == 2 * PAGE + 2


async def test_live_frames_follow_the_log(streams: FaultyStreams, record: Record) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told == ["0-1 queued"])
        await streams.append([tokens(1, 1, 1)])
        await eventually(lambda: watcher.told[1:] == ["1-1"])
        await streams.append([the_end(2)])

    assert watcher.told == ["0-1 queued", "1-1", "2-1 succeeded"]


async def test_who_watches_before_the_first_frame_is_told_no_reset(
    streams: FaultyStreams,
) -> None:
    record = Record(watched_job(State.QUEUED, epoch=0))
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await record.asked_again()
        await streams.append([QUEUED, the_end(1)])

    assert watcher.told == ["0-1 queued", "1-1 succeeded"]


async def test_what_the_channel_loses_is_found_in_the_log(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told == ["0-1 queued"])
        streams.losses = 1
        await streams.append([tokens(1, 1, 2)])
        await eventually(lambda: watcher.told[1:] == ["1-1", "1-2"])
        await streams.append([the_end(2)])

    assert watcher.told[-1] == "2-1 succeeded"


async def test_the_tail_of_the_old_epoch_comes_before_the_new_one(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watch(streams, record, JOB, quiet_s=60.0, random=Random(1))))
        await eventually(lambda: watcher.told == ["0-1 queued"])
        streams.losses = 1
        await streams.append([tokens(1, 1, 2)])
        await eventually(lambda: streams.losses == 0)
        await streams.append([tokens(3, 1, 1), the_end(4)])

    assert watcher.told == ["0-1 queued", "1-1", "1-2", "3-1", "4-1 succeeded"]


async def test_a_trimmed_log_begins_with_a_reset() -> None:
    streams = FaultyStreams(maxlen=2)
    await streams.append([QUEUED, tokens(1, 1, 9), the_end(2)])
    watcher = Watching()

    await watcher.run(watching(streams, Record(watched_job(progress=0.5))))

    assert watcher.told == ["1-8 reset", "1-9", "2-1 succeeded"]
    frame = decode_frame(watcher.entries[0].data)
    assert isinstance(frame, Reset)
    assert (frame.snapshot["state"], frame.snapshot["progress"]) == ("running", 0.5)


async def test_numbers_that_a_worker_left_empty_are_a_reset(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, tokens(1, 1, 1), tokens(1, 5, 1), the_end(2)])

    assert await told_in_the_end(streams, record) == [
        "0-1 queued", "1-1", "1-4 reset", "1-5", "2-1 succeeded",
    ]  # fmt: skip


async def test_a_log_that_is_wiped_is_one_reset(streams: FaultyStreams, record: Record) -> None:
    await streams.append([QUEUED, tokens(1, 1, 2)])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told[-1:] == ["1-2"])
        streams.wipe()
        await eventually(lambda: watcher.told[-1:] == ["1-2 reset"])
        await record.asked_again()
        await streams.append([tokens(1, 3, 1)])
        await eventually(lambda: watcher.told[-1:] == ["1-3"])
        await streams.append([the_end(2)])

    assert watcher.told[3:] == ["1-2 reset", "1-3", "2-1 succeeded"]


async def test_a_position_ahead_of_the_log_is_answered_with_a_reset_and_all_there_is(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, the_end(2)])

    told = await told_in_the_end(streams, record, after=Position(9, 9))

    assert told == ["0-0 reset", "0-1 queued", "2-1 succeeded"]


@pytest.mark.parametrize(
    ("job", "end"),
    [
        (watched_job(State.SUCCEEDED, epoch=2, output={"text": "hi"}), "2-1 succeeded"),
        (watched_job(State.FAILED, epoch=2, error={"kind": "input"}), "2-1 failed"),
        (watched_job(State.DEAD, epoch=2, error={"kind": "internal"}), "2-1 dead"),
        (watched_job(State.CANCELLED, epoch=1), "1-3 cancelled"),
    ],
)
async def test_an_end_that_only_the_store_knows_is_told_after_a_reset(
    streams: FaultyStreams, job: Job, end: str
) -> None:
    """Who could not write the end may not have written what came before it."""
    await streams.append([QUEUED, tokens(1, 1, 2)])

    told = ["0-1 queued", "1-1", "1-2", "1-2 reset", end]
    assert await told_in_the_end(streams, Record(job)) == told


async def test_who_comes_after_the_log_is_gone_is_told_how_it_ended(
    streams: FaultyStreams,
) -> None:
    record = Record(watched_job(State.SUCCEEDED, epoch=2, output={"text": "hi"}))

    assert await told_in_the_end(streams, record) == ["0-0 reset", "2-1 succeeded"]


async def test_a_job_that_is_gone_ends_the_watching(streams: FaultyStreams) -> None:
    assert await told_in_the_end(streams, Record(None)) == []


async def test_without_streams_the_store_is_told_and_then_the_log(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, the_end(2)])
    streams.refusals = 3

    assert await told_in_the_end(streams, record) == [
        "0-0 reset", "0-1 queued", "2-1 succeeded",
    ]  # fmt: skip


async def test_without_streams_the_end_is_still_told(streams: FaultyStreams) -> None:
    streams.refusals = 1_000_000

    told = await told_in_the_end(streams, Record(watched_job(State.DEAD, epoch=2)))

    assert told == ["0-0 reset", "2-1 dead"]


async def test_a_log_that_can_be_read_is_told_whole_though_nobody_can_follow(
    streams: FaultyStreams, record: Record
) -> None:
    streams.deaf = True
    await streams.append([QUEUED, tokens(1, 1, 2)])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told == ["0-1 queued", "1-1", "1-2"])
        await streams.append([the_end(2)])
        record.job = watched_job(State.SUCCEEDED, epoch=2)

    assert watcher.told[3:] == ["2-1 succeeded"]


async def test_an_end_during_an_outage_is_told_with_a_reset_for_what_was_not_seen(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED, tokens(1, 1, 1)])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told == ["0-1 queued", "1-1"])
        streams.refusals = 1_000_000
        record.job = watched_job(State.SUCCEEDED, epoch=2)

    assert watcher.told[2:] == ["1-1 reset", "2-1 succeeded"]


async def test_a_store_that_is_away_holds_nothing_up(
    streams: FaultyStreams, record: Record
) -> None:
    record.away = True
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await eventually(lambda: watcher.told == ["0-1 queued"])
        await record.asked_again()
        await streams.append([the_end(1)])

    assert watcher.told == ["0-1 queued", "1-1 succeeded"]


async def test_a_reset_waits_for_the_store_rather_than_being_left_out() -> None:
    streams, record = FaultyStreams(maxlen=2), Record(watched_job())
    record.away = True
    await streams.append([QUEUED, tokens(1, 1, 9), the_end(2)])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record)))
        await record.asked_again()
        silent_so_far = watcher.told == []
        record.away = False

    assert silent_so_far
    assert watcher.told == ["1-8 reset", "1-9", "2-1 succeeded"]


async def test_what_comes_live_and_continues_is_told_at_once(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record, tell=watcher.take)))
        await record.asked_again()
        await streams.append([tokens(0, 2, 2)])
        told_meanwhile = watcher.told
        await streams.append([the_end(1)])

    assert told_meanwhile == ["0-1 queued", "0-2", "0-3"]
    assert [str(entry.position) for entry in watcher.at_once] == ["0-2", "0-3"]
    assert watcher.told[-1] == "1-1 succeeded"


async def test_what_a_client_has_no_room_for_is_told_by_its_task_and_the_rest_at_once_again(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED])
    watcher = Watching(room=[True, False])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record, tell=watcher.take)))
        await record.asked_again()
        for seq in range(2, 5):
            await streams.append([tokens(0, seq, 1)])
        await eventually(lambda: watcher.told[-1] == "0-4")
        await record.asked_again()
        await streams.append([tokens(0, 5, 1)])
        await streams.append([the_end(1)])

    assert watcher.told == ["0-1 queued", "0-2", "0-3", "0-4", "0-5", "1-1 succeeded"]
    assert [str(entry.position) for entry in watcher.at_once] == ["0-2", "0-5"]


async def test_a_hole_in_what_comes_live_is_mended_from_the_log_before_anything_is_told_at_once(
    streams: FaultyStreams, record: Record
) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record, tell=watcher.take)))
        await record.asked_again()
        streams.losses = 1
        await streams.append([tokens(0, 2, 2)])
        await streams.append([tokens(0, 4, 1)])
        await eventually(lambda: watcher.told[1:] == ["0-2", "0-3", "0-4"])
        await streams.append([the_end(1)])

    assert watcher.told[-1] == "1-1 succeeded"


async def test_an_end_is_never_told_at_once(streams: FaultyStreams, record: Record) -> None:
    await streams.append([QUEUED])
    watcher = Watching()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watching(streams, record, tell=watcher.take)))
        await record.asked_again()
        end = ("succeeded", b'{"type":"succeeded","result":null}')
        await streams.append([Batch(JOB, 0, [("token", b"{}"), end], 2)])

    assert watcher.told == ["0-1 queued", "0-2", "0-3 succeeded"]
    assert watcher.at_once == []
