"""Spans and metrics on their way to a collector, by OTLP over HTTP."""

from __future__ import annotations

from contextlib import ExitStack

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from headrace.telemetry.otlp_metrics import Pusher
from headrace.telemetry.sending import SEND_WITHIN_S, Courier


def send_to(endpoint: str, provider: TracerProvider, leaving: ExitStack) -> None:
    """From now on, until `leaving` is left."""
    at = endpoint.rstrip("/")
    figures = OTLPMetricExporter(endpoint=f"{at}/v1/metrics", timeout=SEND_WITHIN_S)
    leaving.callback(Pusher(figures, provider.resource).close)
    spans = OTLPSpanExporter(endpoint=f"{at}/v1/traces", timeout=SEND_WITHIN_S)
    provider.add_span_processor(Courier(spans))
