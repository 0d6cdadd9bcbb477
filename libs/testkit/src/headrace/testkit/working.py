"""Workers for tests: served beside the test, with limits changed by name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from headrace.contracts.frames import Entry, Frame, decode_frame
from headrace.contracts.ids import START, JobId
from headrace.core.ports.streams import Streams
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.role import Worker
from headrace.testkit.background import Served, served


def working(
    options: WorkerOptions, *, lane: dict[str, object] | None = None, **limits: float
) -> AbstractAsyncContextManager[Served]:
    """A worker like `options`, but for these limits, and these options of its lanes."""
    changed = replace(
        options,
        limits=replace(options.limits, **limits),
        lanes=[replace(each, **(lane or {})) for each in options.lanes],  # type: ignore[arg-type]
    )
    return served(Worker(changed).serve)


async def log_of(streams: Streams, job: str) -> list[Entry]:
    page = await streams.read(JobId(job), START, limit=10_000)
    return list(page.entries)


async def frames_of(streams: Streams, job: str) -> list[Frame]:
    return [decode_frame(entry.data) for entry in await log_of(streams, job)]
