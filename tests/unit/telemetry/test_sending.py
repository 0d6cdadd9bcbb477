"""Spans leave without anybody waiting for them, and what is given up is counted."""

from __future__ import annotations

import threading
import time

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from prometheus_client import REGISTRY

from headrace.telemetry.sending import AT_ONCE, Courier
from headrace.testkit.waits import eventually

NEVER_S = 3600.0


class Collector:
    """Takes spans, refuses them, or is a black hole."""

    def __init__(self, *, answers: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.taken: list[str] = []
        self.answers = answers
        self.swallows = threading.Event()
        self.let_go = threading.Event()

    def export(self, spans: tuple[ReadableSpan, ...]) -> SpanExportResult:
        if self.swallows.is_set():
            self.let_go.wait(10)
        self.taken += [span.name for span in spans]
        return self.answers

    def shutdown(self) -> None:
        self.let_go.set()


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("headrace_spans_dropped_total", {"reason": reason}) or 0.0


def make(courier: Courier, *names: str, **attributes: bool) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(courier)
    for name in names:
        provider.get_tracer("test").start_span(name, attributes=attributes).end()


async def test_spans_gather_and_leave_together() -> None:
    collector = Collector()
    courier = Courier(collector, pause_s=0.01)

    make(courier, "one", "two")

    await eventually(lambda: collector.taken == ["one", "two"])
    courier.shutdown()


async def test_a_span_that_must_be_known_at_once_does_not_wait_for_others() -> None:
    collector = Collector()
    courier = Courier(collector, pause_s=NEVER_S)

    make(courier, "job.started", **{AT_ONCE: True})

    await eventually(lambda: collector.taken == ["job.started"])
    courier.shutdown()


async def test_what_the_collector_does_not_take_is_counted() -> None:
    before = dropped("not_taken")
    courier = Courier(Collector(answers=SpanExportResult.FAILURE), pause_s=0.01)

    make(courier, "one", "two", "three")

    await eventually(lambda: dropped("not_taken") == before + 3)
    courier.shutdown()


async def test_behind_a_black_hole_nobody_waits_and_the_queue_has_an_end() -> None:
    collector, before = Collector(), dropped("queue_full")
    collector.swallows.set()
    courier = Courier(collector, most=10, pause_s=0.01)
    make(courier, "swallowed")
    await eventually(lambda: not courier._queue)

    began = time.monotonic()
    make(courier, *(["more"] * 1000))
    took_s = time.monotonic() - began

    assert dropped("queue_full") == before + 990
    assert took_s < 2, "a span costs a fraction of a millisecond, whatever the collector does"
    courier.shutdown()


async def test_leaving_a_black_hole_takes_less_than_two_seconds() -> None:
    collector, before = Collector(), dropped("left_at_exit")
    collector.swallows.set()
    courier = Courier(collector, pause_s=0.01)
    make(courier, "swallowed")
    await eventually(lambda: not courier._queue)
    make(courier, "left")

    began = time.monotonic()
    courier.shutdown()

    assert time.monotonic() - began < 2
    assert dropped("left_at_exit") == before + 1
