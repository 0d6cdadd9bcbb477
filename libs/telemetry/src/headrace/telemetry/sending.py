"""Spans on their way out: taken without a wait, sent by a thread of its own, counted when given up.

Laws:
1. Whoever ends a span never waits: not for a lock that a request holds, not for the collector.
2. The queue is bounded. What does not fit, and what the collector does not take, is dropped and
   counted; nothing is tried again by us, so a collector that is back gets what is new.
3. Leaving takes at most `LEAVE_WITHIN_S`, whatever the collector does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult
from typing_extensions import override

from headrace.telemetry import metrics

MOST: Final = 4096
A_BATCH: Final = 512
PAUSE_S: Final = 0.5
SEND_WITHIN_S: Final = 2.0
LEAVE_WITHIN_S: Final = 1.5  # of the two seconds that leaving may take; the metrics have the rest
AT_ONCE: Final = "headrace.at_once"  # an attribute: do not gather, this process may be killed


class Exporter(Protocol):
    def export(self, spans: tuple[ReadableSpan, ...], /) -> SpanExportResult: ...
    def shutdown(self) -> None: ...


class Courier(SpanProcessor):
    """What the SDK's own processor leaves out: it counts what it drops, and leaves in time."""

    def __init__(self, exporter: Exporter, *, most: int = MOST, pause_s: float = PAUSE_S) -> None:
        self._exporter, self._most, self._pause_s = exporter, most, pause_s
        self._queue: deque[ReadableSpan] = deque()  # its own operations are atomic
        self._wake = threading.Event()
        self._leaving = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    @override
    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if self._leaving or len(self._queue) >= self._most:
            metrics.SPANS_DROPPED.labels(reason="queue_full").inc()
            return
        self._queue.append(span)
        urgent = span.attributes is not None and AT_ONCE in span.attributes
        if urgent or len(self._queue) >= A_BATCH:
            self._wake.set()

    @override
    def shutdown(self) -> None:
        """Sends what is left, within the limit; what then remains is counted and gone."""
        deadline = time.monotonic() + LEAVE_WITHIN_S
        self._leaving = True
        self._wake.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if left := len(self._queue):
            metrics.SPANS_DROPPED.labels(reason="left_at_exit").inc(left)
        self._exporter.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Asks for it; whether it is done shows in the counters."""
        self._wake.set()
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause_s)
            self._wake.clear()
            while self._queue:
                self._send(tuple(self._queue.popleft() for _ in range(self._size())))
            if self._leaving:
                return

    def _size(self) -> int:
        return min(A_BATCH, len(self._queue))

    def _send(self, batch: tuple[ReadableSpan, ...]) -> None:
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001  # whatever an exporter meets, this thread has to go on
            taken = False
        if taken:
            metrics.SPANS_SENT.inc(len(batch))
        else:
            metrics.SPANS_DROPPED.labels(reason="not_taken").inc(len(batch))
