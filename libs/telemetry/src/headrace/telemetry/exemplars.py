"""Which job a figure is about: the trace to look at, beside a bucket of a histogram."""

from __future__ import annotations

from opentelemetry import trace


def exemplar(traceparent: str | None = None) -> dict[str, str] | None:
    """Of the trace given, or of the span in force; None where there is neither."""
    if traceparent is not None:
        _, trace_id, span_id, _ = traceparent.split("-")
        return {"trace_id": trace_id, "span_id": span_id}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
