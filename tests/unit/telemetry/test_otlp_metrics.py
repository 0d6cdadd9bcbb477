"""What Prometheus scrapes is what is pushed."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from headrace.telemetry.exemplars import exemplar
from headrace.telemetry.otlp_metrics import data_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def pushed(registry: CollectorRegistry) -> dict[str, Any]:
    """As a collector reads it."""
    data = data_of(registry.collect(), Resource({"service.name": "x"}), since_ns=1, now_ns=2)
    (resource,) = encode_metrics(data).resource_metrics
    return {metric.name: metric for metric in resource.scope_metrics[0].metrics}


def test_a_counter_is_a_sum_that_only_rises() -> None:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", ["state"], registry=registry).labels("done").inc(3)

    found = pushed(registry)["jobs"]

    assert found.sum.is_monotonic
    assert found.sum.data_points[0].as_double == 3
    assert found.sum.data_points[0].attributes[0].value.string_value == "done"


def test_a_gauge_is_a_gauge() -> None:
    registry = CollectorRegistry()
    Gauge("used_bytes", "Used.", registry=registry).set(7)

    found = pushed(registry)["used_bytes"]

    assert (found.unit, found.gauge.data_points[0].as_double) == ("By", 7)


def test_a_histogram_has_its_buckets_apart_and_names_a_trace() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("took_seconds", "Took.", buckets=(1, 2), registry=registry)
    for took_s in (0.5, 1.5, 1.6, 9):
        histogram.observe(took_s, exemplar(f"00-{TRACE}-00f067aa0ba902b7-01"))

    (point,) = pushed(registry)["took_seconds"].histogram.data_points

    assert list(point.bucket_counts) == [1, 2, 1]
    assert list(point.explicit_bounds) == [1.0, 2.0]
    assert (point.count, point.sum) == (4, 12.6)
    assert not point.HasField("min")
    assert {each.trace_id.hex() for each in point.exemplars} == {TRACE}
