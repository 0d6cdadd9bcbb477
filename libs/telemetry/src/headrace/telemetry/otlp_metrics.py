"""The same metrics by OTLP: what Prometheus would scrape, pushed for installations that do not scrape.

One set of counters feeds both. prometheus-client's cost a tenth of the SDK's own on the paths that
every frame takes, and `/metrics` has to be there without a collector.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, Protocol

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Exemplar as Found
from prometheus_client.samples import Sample

EVERY_S: Final = 15.0
LEAVE_WITHIN_S: Final = 0.5
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_SCOPE: Final = InstrumentationScope("headrace")


class Exporter(Protocol):
    def export(self, metrics_data: MetricsData, timeout_millis: float = ...) -> object: ...
    def shutdown(self, timeout_millis: float = ...) -> None: ...


class Pusher:
    """Pushes every so often from a thread of its own, and a last time on leaving."""

    def __init__(
        self,
        exporter: Exporter,
        resource: Resource,
        *,
        registry: CollectorRegistry = REGISTRY,
        every_s: float = EVERY_S,
    ) -> None:
        self._exporter, self._resource, self._registry = exporter, resource, registry
        self._every_s = every_s
        self._since_ns = time.time_ns()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._leaving.set()
        self._thread.join(LEAVE_WITHIN_S)
        self._exporter.shutdown(timeout_millis=0)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._leaving.wait(self._every_s)
            families = self._registry.collect()
            self._exporter.export(
                data_of(families, self._resource, since_ns=self._since_ns, now_ns=time.time_ns())
            )


def data_of(
    families: Iterable[Family], resource: Resource, *, since_ns: int, now_ns: int
) -> MetricsData:
    converted = [
        metric for each in families if (metric := _metric(each, since_ns, now_ns)) is not None
    ]
    scope = ScopeMetrics(_SCOPE, converted, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, since_ns: int, now_ns: int) -> Metric | None:
    data: Sum | Gauge | Histogram
    match family.type:
        case "counter":
            points = _numbers(family, "_total", since_ns, now_ns)
            data = Sum(points, _CUMULATIVE, is_monotonic=True)
        case "gauge":
            data = Gauge(_numbers(family, "", since_ns, now_ns))
        case "histogram":
            data = Histogram(list(_histograms(family, since_ns, now_ns)), _CUMULATIVE)
        case _:  # `info` and the like say nothing that changes
            return None
    return Metric(family.name, family.documentation, _unit(family.name), data)


def _numbers(family: Family, ending: str, since_ns: int, now_ns: int) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(sample.labels, since_ns, now_ns, sample.value)
        for sample in family.samples
        if sample.name == family.name + ending
    ]


def _histograms(family: Family, since_ns: int, now_ns: int) -> Iterator[HistogramDataPoint]:
    for labels, samples in _by_labels(family):
        ends = [sample for sample in samples if sample.name.endswith("_bucket")]
        below = [0, *(int(sample.value) for sample in ends)]
        yield HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=since_ns,
            time_unix_nano=now_ns,
            count=below[-1],
            sum=next(each.value for each in samples if each.name.endswith("_sum")),
            bucket_counts=[after - before for before, after in pairwise(below)],
            explicit_bounds=[float(sample.labels["le"]) for sample in ends[:-1]],
            min=None,  # type: ignore[arg-type]  # not known; the encoder leaves it out
            max=None,  # type: ignore[arg-type]
            exemplars=[_exemplar(each.exemplar, now_ns) for each in ends if each.exemplar],
        )


def _exemplar(found: Found, now_ns: int) -> Exemplar:
    at_ns = now_ns if found.timestamp is None else int(float(found.timestamp) * 1e9)
    span_id, trace_id = (_number(found.labels.get(name)) for name in ("span_id", "trace_id"))
    return Exemplar({}, found.value, at_ns, span_id, trace_id)


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits, 16)


def _by_labels(family: Family) -> Iterator[tuple[Mapping[str, str], list[Sample]]]:
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        series.setdefault(key, []).append(sample)
    for key, samples in series.items():
        yield dict(key), samples


def _unit(name: str) -> str:
    return {"seconds": "s", "bytes": "By", "ratio": "1"}.get(name.rpartition("_")[2], "")
