"""Spans of a test, in memory."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

_exporter = InMemorySpanExporter()


@pytest.fixture(scope="session")
def provider() -> TracerProvider:
    """The one of this process: OpenTelemetry lets it be set once."""
    found = TracerProvider()
    found.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(found)
    return found


@pytest.fixture
def spans(provider: TracerProvider) -> Generator[InMemorySpanExporter]:
    _exporter.clear()
    yield _exporter
    _exporter.clear()
