"""What becomes of frames on their way to the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from headrace.contracts.ids import ClaimId, JobId, TenantId
from headrace.contracts.messages import Grant
from headrace.core.errors import Unavailable
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Streams
from headrace.gpu_worker import frames
from headrace.gpu_worker.attempts import Attempt, Why
from headrace.gpu_worker.frames import FrameWriter
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.waits import eventually


@dataclass
class Recorder:
    """The writing side of the streams, as a test wants it."""

    batches: list[Batch] = field(default_factory=list)
    failing: int = 0  # so many times before it works
    lose_answers: bool = False  # when it fails, it has kept the batch all the same
    verdict: Verdict = Verdict.APPLIED
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        self.asked += 1
        await self.open.wait()
        if self.failing:
            self.failing -= 1
            if self.lose_answers:
                self.batches += batches
            raise Unavailable("streams", "a test says so")
        self.batches += batches
        return [self.verdict for _ in batches]

    def seqs(self) -> list[int]:
        return [
            seq
            for batch in self.batches
            for seq, _ in enumerate(batch.frames, start=batch.first_seq or 0)
        ]


@pytest.fixture
def streams() -> Recorder:
    return Recorder()


@pytest.fixture
def attempt() -> Attempt:
    grant = Grant(
        claim=ClaimId("claim"),
        job=JobId("job"),
        tenant=TenantId("tenant"),
        epoch=3,
        attempt=1,
        lease_s=30,
        kind="play",
        model="calm",
        input={},
        timeout_s=60,
    )
    return Attempt(grant, trusted_until=1e9, claim_s=0)


@asynccontextmanager
async def pumping(writer: FrameWriter) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(writer.pump())  # noqa: TID251  # ends with the block
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def writer(streams: Recorder, attempt: Attempt, options: WorkerOptions) -> FrameWriter:
    port: Streams = streams  # type: ignore[assignment]  # a writer only appends
    return FrameWriter(attempt, replace(options, streams=port))


async def test_frames_are_numbered_from_two_and_share_batches(
    streams: Recorder, writer: FrameWriter
) -> None:
    async with pumping(writer):
        for number in range(200):
            writer.say("token", str(number).encode())
        await writer.finish(within_s=2)

    assert streams.seqs() == list(range(2, 202))
    assert [len(batch.frames) for batch in streams.batches] == [64, 64, 64, 8]
    assert {batch.epoch for batch in streams.batches} == {3}


async def test_a_lone_frame_does_not_wait_for_company(
    streams: Recorder, writer: FrameWriter
) -> None:
    async with pumping(writer):
        writer.say("token", b"first")
        await eventually(lambda: streams.batches, within=frames.WINDOW_S * 10)

    assert streams.seqs() == [2]


async def test_a_batch_of_large_frames_is_bounded_in_bytes(
    streams: Recorder, writer: FrameWriter
) -> None:
    async with pumping(writer):
        for _ in range(4):
            writer.say("preview", bytes(40_000))
        await writer.finish(within_s=2)

    assert [len(batch.frames) for batch in streams.batches] == [1, 1, 1, 1]


async def test_what_could_not_be_sent_is_sent_again(streams: Recorder, writer: FrameWriter) -> None:
    streams.failing, streams.lose_answers = 1, True

    async with pumping(writer):
        writer.say("token", b"one")
        await writer.finish(within_s=2)

    assert streams.seqs() == [2, 2]  # the same number: the log keeps it once


async def test_during_an_outage_the_oldest_frames_go_and_leave_a_gap(
    streams: Recorder, writer: FrameWriter
) -> None:
    async with pumping(writer):
        streams.open.clear()
        for number in range(frames.BUFFER_FRAMES + 10):
            writer.say("token", str(number).encode())
        streams.open.set()
        await writer.finish(within_s=5)

    assert writer.dropped == 10
    assert streams.seqs() == list(range(12, frames.BUFFER_FRAMES + 12))


async def test_a_slow_stream_slows_the_engine_and_loses_nothing(
    streams: Recorder, writer: FrameWriter
) -> None:
    async def speak() -> None:
        for number in range(frames.BUFFER_FRAMES * 2):
            await writer.room()
            writer.say("token", str(number).encode())

    async with pumping(writer):
        await speak()
        await writer.finish(within_s=5)

    assert writer.dropped == 0
    assert streams.seqs() == list(range(2, frames.BUFFER_FRAMES * 2 + 2))


async def test_a_stream_that_fails_holds_nobody_up(streams: Recorder, writer: FrameWriter) -> None:
    streams.failing = 1_000_000

    async with pumping(writer), asyncio.timeout(5):
        writer.say("token", b"first")
        await eventually(lambda: streams.asked)
        for _ in range(frames.BUFFER_FRAMES * 2):
            await writer.room()
            writer.say("token", b"more")

    assert writer.dropped > 0


async def test_a_stale_epoch_ends_the_attempt_and_silences_the_writer(
    streams: Recorder, writer: FrameWriter, attempt: Attempt
) -> None:
    streams.verdict = Verdict.STALE

    async with pumping(writer):
        writer.say("token", b"one")
        await eventually(attempt.ending.is_set)
        writer.say("token", b"two")
        await writer.finish(within_s=2)

    assert attempt.why is Why.LOST
    assert streams.asked == 1


async def test_the_last_frames_are_given_up_in_time(streams: Recorder, writer: FrameWriter) -> None:
    streams.open.clear()

    async with pumping(writer):
        writer.say("token", b"one")
        await writer.finish(within_s=0.05)

    assert streams.batches == []


async def test_a_frame_that_is_too_large_for_anybody_is_not_sent(
    streams: Recorder, writer: FrameWriter
) -> None:
    async with pumping(writer):
        writer.say("token", bytes(frames.MAX_FRAME_BYTES + 1))
        writer.say("token", b"next")
        await writer.finish(within_s=2)

    assert streams.seqs() == [2]
    assert writer.dropped == 1
