"""Which job a figure is about: the trace to look at, beside a bucket of a histogram."""

from __future__ import annotations

from opentelemetry import trace


def exemplar(traceparent: str | None = None) -> dict[str, str] | None:
    """Of the trace given, or of the span in force; None where there is neither."""
    if traceparent is not None:
        return {"trace_id": traceparent.split("-")[1]}
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else None
