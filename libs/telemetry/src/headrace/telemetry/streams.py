"""The streams, watched: how long their logs take to write, what is written, and the frames that matter in a trace."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Final, Literal, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from typing_extensions import override

from headrace.contracts.frames import TERMINAL_TYPES
from headrace.contracts.ids import JobId, Position
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams, Subscription
from headrace.telemetry import metrics
from headrace.telemetry.tracing import span

# A job says a few of these and thousands of the others.
_IN_A_TRACE: Final = {"queued", "started", "attempt", "cancelling", *TERMINAL_TYPES}
Outcome: TypeAlias = Literal["applied", "stale", "unavailable"]


class WatchedStreams(Streams):
    def __init__(self, inner: Streams) -> None:
        self._inner = inner

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        began = time.monotonic()
        outcome: Outcome = "unavailable"
        try:
            with _span(batches):
                verdicts = await self._inner.append(batches)
            outcome = "stale" if Verdict.STALE in verdicts else "applied"
        finally:
            metrics.STREAM_APPEND.labels(outcome=outcome).observe(time.monotonic() - began)
        _count(batches, verdicts)
        return verdicts

    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        return await self._inner.read(job, after, limit=limit)

    @override
    def follow(self, job: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self._inner.follow(job)

    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        await self._inner.discard(jobs)

    @override
    async def ping(self) -> None:
        await self._inner.ping()


def _span(batches: Sequence[Batch]) -> AbstractContextManager[object]:
    types = [type_ for batch in batches for type_, _ in batch.frames if type_ in _IN_A_TRACE]
    if not types or not trace.get_current_span().is_recording():
        return nullcontext()
    return span(f"stream {types[0]}", kind=SpanKind.CLIENT, attributes={"headrace.frames": types})


def _count(batches: Sequence[Batch], verdicts: Sequence[Verdict]) -> None:
    said = Counter(
        type_
        for batch, verdict in zip(batches, verdicts, strict=True)
        if verdict is Verdict.APPLIED
        for type_, _ in batch.frames
    )
    for type_, number in said.items():
        metrics.FRAMES.labels(type=type_).inc(number)
