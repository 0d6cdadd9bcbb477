"""The store, watched: how long its transactions take, and in which trace."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import Literal, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from typing_extensions import override

from headrace.core.errors import Unavailable
from headrace.core.ports.store import Hints, Store, Transaction
from headrace.telemetry import metrics
from headrace.telemetry.exemplars import exemplar
from headrace.telemetry.tracing import span

Outcome: TypeAlias = Literal["committed", "rolled_back", "unavailable"]


class WatchedStore(Store):
    """A transaction has a span where it is part of a trace; a background loop's has none."""

    def __init__(self, inner: Store, system: str) -> None:
        self._inner, self._system = inner, system  # as OpenTelemetry names the database

    @override
    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        began = time.monotonic()
        outcome: Outcome = "rolled_back"
        try:
            with self._span():
                async with self._inner.begin() as tx:
                    yield tx
                outcome = "committed"
        except Unavailable:
            outcome = "unavailable"
            raise
        finally:
            took_s = time.monotonic() - began
            metrics.STORE.labels(outcome=outcome).observe(took_s, exemplar())

    @override
    def hints(self) -> AbstractAsyncContextManager[Hints]:
        return self._inner.hints()

    @override
    async def ping(self) -> None:
        await self._inner.ping()

    def _span(self) -> AbstractContextManager[object]:
        if not trace.get_current_span().is_recording():
            return nullcontext()
        attributes = {"db.system.name": self._system}
        return span("store transaction", kind=SpanKind.CLIENT, attributes=attributes, faults=False)
