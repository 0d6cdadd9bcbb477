"""Spans, and the context that travels: one trace from the request to the worker's last stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("headrace")  # a proxy: it follows the provider that is set later


@contextmanager
def exporting(service: str, *, endpoint: str | None) -> Iterator[None]:
    """Make spans for as long as this lasts; send them when there is an OTLP endpoint.

    Sending is in a thread of its own with a bounded queue: a collector that is down costs spans,
    never a job. Leaving waits at most two seconds for what is still queued.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if endpoint is not None:
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=2)
        provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=4096, schedule_delay_millis=500)
        )
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.force_flush(2000)
        provider.shutdown()


@contextmanager
def span(
    name: str,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span around a piece of work; `parent` and `links` are W3C traceparents from elsewhere."""
    context = _propagator.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        links=[link for each in links if (link := _link(each)) is not None],
        attributes=attributes,
    ) as current:
        yield current


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Bind ids to every log line in this block, and to the span in force."""
    trace.get_current_span().set_attributes({f"headrace.{key}": val for key, val in ids.items()})
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def traceparent() -> str | None:
    """The current context as a W3C traceparent, to be stored or sent."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def trace_id(parent: str | None) -> str | None:
    """The trace a traceparent belongs to: 32 hexadecimal digits."""
    return None if parent is None else parent.split("-")[1]


def fail(current: Span, why: str) -> None:
    current.set_status(Status(StatusCode.ERROR, why))


def _link(parent: str) -> Link | None:
    context = trace.get_current_span(_propagator.extract({"traceparent": parent}))
    return Link(context.get_span_context()) if context.get_span_context().is_valid else None
