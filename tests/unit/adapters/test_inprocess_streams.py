"""Streams in memory share it with every role of their process: they keep to a bound."""

from __future__ import annotations

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import START, JobId
from headrace.core.ports.streams import Batch, Streams

KILOBYTE = b"x" * 1024


async def kilobytes(streams: Streams, job: str) -> int:
    page = await streams.read(JobId(job), START, limit=1_000)
    return len(page.entries)


async def test_the_oldest_logs_make_room_where_all_together_grow_too_large() -> None:
    streams = InProcessStreams(max_bytes=10 * 1024)

    for job in ("first", "second", "third"):
        await streams.append([Batch(JobId(job), 1, [("token", KILOBYTE)] * 5)])

    assert await kilobytes(streams, "first") == 0
    assert await kilobytes(streams, "second") == 5
    assert await kilobytes(streams, "third") == 5


async def test_what_a_log_forgets_by_itself_counts_no_more() -> None:
    streams = InProcessStreams(maxlen=2, max_bytes=10 * 1024)

    await streams.append([Batch(JobId("quiet"), 1, [("token", KILOBYTE)])])
    for _ in range(20):
        await streams.append([Batch(JobId("busy"), 1, [("token", KILOBYTE)])])

    assert await kilobytes(streams, "quiet") == 1
    assert await kilobytes(streams, "busy") == 2


async def test_a_log_that_is_too_large_alone_is_not_taken_from_its_watchers() -> None:
    streams = InProcessStreams(max_bytes=1024)

    for _ in range(5):
        await streams.append([Batch(JobId("alone"), 1, [("token", KILOBYTE)])])

    assert await kilobytes(streams, "alone") == 5
