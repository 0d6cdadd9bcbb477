"""A job's log has what happened and what its engines said, in order, and has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from typing_extensions import override

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.frames import Log, Started, Token, encode_frame, frame_type
from headrace.contracts.ids import JobId, Position, TenantId
from headrace.contracts.messages import Result
from headrace.core.errors import JobNotFound, Unavailable
from headrace.core.job import Job
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Batch, Page
from headrace.core.usecases.record import record
from headrace.core.usecases.tell_log import LONGEST_LINE, JobLog, tell_log
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import (
    ANY,
    POLICY,
    a_failure,
    a_result,
    put,
    read,
    running,
    taken,
)

TENANT = TenantId("tenant")


async def say(streams: InProcessStreams, job: Job, *frames: Log | Token | Started) -> None:
    said = [(frame_type(frame), encode_frame(frame)) for frame in frames]
    await streams.append([Batch(job.id, job.epoch, said)])


async def ended(store: Store, result: Result) -> Job:
    await record(store, [result], policy=POLICY, random=ANY)
    return await read(store, result.job)


async def log_of(store: Store, streams: InProcessStreams, job: Job, *, limit: int = 100) -> JobLog:
    return await tell_log(store, streams, TENANT, job.id, limit=limit)


def texts(log: JobLog) -> list[str]:
    return [line.text for line in log.lines]


@pytest.fixture
def streams() -> InProcessStreams:
    return InProcessStreams()


async def test_a_job_that_waits_was_submitted(store: Store, streams: InProcessStreams) -> None:
    log = await log_of(store, streams, await put(store))

    assert texts(log) == ["submitted"]
    assert log.complete
    assert log.lines[0].at is not None


async def test_each_attempt_has_the_lines_of_its_engine_between_its_start_and_its_end(
    store: Store, streams: InProcessStreams
) -> None:
    job = await running(store)
    await say(streams, job, Started(worker="w", attempt=1), Log("first try"), Token("hm"))
    job = await ended(store, a_failure(job, "worker_lost", "it crashed"))
    (job,) = await taken(store, job)
    await say(streams, job, Started(worker="w", attempt=2), Log("again"), Log("and done"))
    job = await ended(store, a_result(job))

    log = await log_of(store, streams, job)

    assert [(line.source, line.attempt, line.text) for line in log.lines] == [
        ("job", None, "submitted"),
        ("attempt", 1, "started on worker-1"),
        ("engine", 1, "first try"),
        ("attempt", 1, "failed: worker_lost: it crashed"),
        ("attempt", 2, "started on worker-1"),
        ("engine", 2, "again"),
        ("engine", 2, "and done"),
        ("attempt", 2, "succeeded"),
        ("job", None, "succeeded"),
    ]


async def test_of_too_many_lines_the_latest_are_told(
    store: Store, streams: InProcessStreams
) -> None:
    job = await running(store)
    await say(streams, job, *(Log(f"line {n}") for n in range(1200)))

    log = await log_of(store, streams, job, limit=3)

    assert texts(log)[-3:] == ["line 1197", "line 1198", "line 1199"]
    assert log.left_out == 1197


async def test_a_line_has_an_end(store: Store, streams: InProcessStreams) -> None:
    job = await running(store)
    await say(streams, job, Log("x" * 10_000))

    log = await log_of(store, streams, job)

    assert texts(log)[-1] == "x" * LONGEST_LINE


async def test_once_the_stream_is_gone_it_says_so_and_tells_the_rest(store: Store) -> None:
    job = await ended(store, a_result(await running(store)))

    log = await log_of(store, InProcessStreams(), job)

    assert texts(log) == ["submitted", "started on worker-1", "succeeded", "succeeded"]
    assert not log.complete


class Away(InProcessStreams):
    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        raise Unavailable("Redis", "it is away")


class Endless(InProcessStreams):
    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        await asyncio.Event().wait()
        raise AssertionError("nobody rings")


@pytest.mark.parametrize("streams_that", [Away, Endless])
async def test_streams_that_are_away_cost_the_engines_lines_and_no_more(
    store: Store, streams_that: type[InProcessStreams], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.core.usecases.tell_log.WITHIN_S", 0.05)
    job = await running(store)

    log = await log_of(store, streams_that(), job)

    assert texts(log) == ["submitted", "started on worker-1"]
    assert not log.complete


async def test_it_is_its_owners_alone(store: Store, streams: InProcessStreams) -> None:
    job = await put(store)
    strangers: Sequence[tuple[TenantId, JobId]] = [
        (TenantId("blue"), job.id),
        (TENANT, a_job_id()),
    ]

    for tenant, asked in strangers:
        with pytest.raises(JobNotFound):
            await tell_log(store, streams, tenant, asked, limit=10)
