"""Spans, and the context that travels: one trace from the request to the worker's last stage."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from headrace.core.job import Job
from headrace.telemetry.sending import AT_ONCE

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("headrace")  # a proxy: it follows the provider that is set later
_NS: Final = 1_000_000_000


@contextmanager
def exporting(service: str, *, endpoint: str | None) -> Iterator[None]:
    """Make spans for as long as this lasts; send them and the metrics where there is an endpoint.

    Sending is in threads of its own, with a bounded queue: a collector that is down or silent costs
    spans, never a job. Leaving waits at most two seconds for what is still queued.
    """
    resource = Resource.create(
        {"service.name": service, "service.instance.id": f"{socket.gethostname()}-{os.getpid()}"}
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    with ExitStack() as leaving:
        if endpoint is not None:
            # What sends is half of what this package imports, and most processes send nothing.
            from headrace.telemetry.otlp import send_to

            send_to(endpoint, provider, leaving)
        leaving.callback(provider.shutdown)
        yield


@contextmanager
def span(
    name: str,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    faults: bool = True,
) -> Iterator[Span]:
    """A span around a piece of work; `parent` and `links` are W3C traceparents from elsewhere.

    `faults`: an exception makes it red. Not where exceptions are answers.
    """
    with _tracer.start_as_current_span(
        name,
        context=_context(parent),
        kind=kind,
        links=[link for each in links if (link := _link(each)) is not None],
        attributes=attributes,
        record_exception=faults,
        set_status_on_exception=faults,
    ) as current:
        yield current


def begin(name: str, *, parent: str | None, kind: SpanKind = SpanKind.INTERNAL) -> Span:
    """A span that is nobody's context; whoever begins it ends it."""
    return _tracer.start_span(name, context=_context(parent), kind=kind)


def tell(
    name: str,
    *,
    parent: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    error: str | None = None,
) -> None:
    """A span about what is over already, or has only just begun: sent at once, not with the next batch.

    So what a process was at is known although it is killed before its own span has ended.
    """
    told = _tracer.start_span(
        name,
        context=_context(parent),
        start_time=_ns(since),
        attributes={**(attributes or {}), AT_ONCE: True},
    )
    if error is not None:
        fail(told, error)
    told.end(_ns(until))


def new_trace(name: str) -> str | None:
    """A trace that begins here: its first span is over already."""
    first = begin(name, parent=None)
    first.end()
    return traceparent_of(first)


@contextmanager
def about_job(job: Job, **more: str | int) -> Iterator[None]:
    """Every log line in this block names the job, its tenant and its trace, also where no span is."""
    of = trace_id(job.trace)
    with (
        about(job_id=job.id, tenant=job.tenant, **more),
        structlog.contextvars.bound_contextvars(**({} if of is None else {"trace_id": of})),
    ):
        yield


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


def traceparent_of(of: Span) -> str | None:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(of))
    return carrier.get("traceparent")


def trace_id(parent: str | None) -> str | None:
    """The trace a traceparent belongs to: 32 hexadecimal digits."""
    return None if parent is None else parent.split("-")[1]


def fail(current: Span, why: str) -> None:
    current.set_status(Status(StatusCode.ERROR, why))


def _context(parent: str | None) -> Context | None:
    return _propagator.extract({"traceparent": parent}) if parent else None


def _ns(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * _NS)


def _link(parent: str) -> Link | None:
    context = trace.get_current_span(_propagator.extract({"traceparent": parent}))
    return Link(context.get_span_context()) if context.get_span_context().is_valid else None
