"""What a metric is to us: a name, a meaning, what to do about it, and labels with an end to them.

Laws:
1. A label's values are a closed set, or bounded in number. What is neither is counted as `other`, so
   that no input can grow a process or a database of time series.
2. No label tells of a tenant, a job or a person: that is what traces and logs are for. A histogram
   that is about jobs carries the trace of one in each bucket, as an exemplar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

OTHER: Final = "other"
MOST_LANES: Final = 64
MOST_DEVICES: Final = 16

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
M = TypeVar("M", Counter, Gauge, Histogram)
M_co = TypeVar("M_co", covariant=True)


@dataclass(slots=True)
class Bounded:
    """The first so many values that come; every later one is `other`. They are never forgotten."""

    most: int
    what: str  # for the page
    seen: set[str] = field(default_factory=set)

    def admit(self, value: str) -> str:
        if value in self.seen:
            return value
        if len(self.seen) >= self.most:
            return OTHER
        self.seen.add(value)
        return value


Values: TypeAlias = Sequence[str] | Bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the page of metrics says of one."""

    name: str  # as it is scraped
    kind: Kind
    help: str
    unit: str
    do: str
    labels: dict[str, Values]


class Labelled(Protocol[M_co]):
    """A metric with labels: give each a value to get what can be counted or observed."""

    def labels(self, **values: str) -> M_co: ...


class _Admitting(Generic[M]):
    """Only values that were declared reach the metric."""

    def __init__(self, metric: M, allowed: dict[str, Values]) -> None:
        self._metric: M = metric
        self._allowed = allowed
        self._children: dict[tuple[str, ...], M] = {}  # bounded: the values are
        if not any(isinstance(each, Bounded) for each in allowed.values()):
            self._bear({})

    def labels(self, **values: str) -> M:
        admitted = tuple(
            _admitted(allowed, values[name]) for name, allowed in self._allowed.items()
        )
        child = self._children.get(admitted)
        if child is None:
            self._bear(dict(zip(self._allowed, admitted, strict=True)))
            child = self._child(admitted)
        return child

    def _bear(self, with_: dict[str, str]) -> None:
        """All that closed labels can be, beside these bounded ones: a counter that begins at one has not risen.

        Only of counters: a histogram is a dozen series, and one of zeros says nothing.
        """
        if not isinstance(self._metric, Counter):
            return
        choices = [
            [with_[name]] if isinstance(allowed, Bounded) else allowed
            for name, allowed in self._allowed.items()
        ]
        for values in product(*choices):
            self._child(values)

    def _child(self, values: tuple[str, ...]) -> M:
        return self._children.setdefault(values, self._metric.labels(*values))


def _admitted(allowed: Values, value: str) -> str:
    if isinstance(allowed, Bounded):
        return allowed.admit(value)
    return value if value in allowed else OTHER


class Catalog:
    """Every metric that there is, in the order they are declared."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.meanings: list[Meaning] = []

    def counter(self, name: str, help: str, *, do: str) -> Counter:  # noqa: A002  # Prometheus's word
        return self._made(Counter, "counter", name, help, do, {})

    def counters(self, name: str, help: str, *, do: str, **labels: Values) -> Labelled[Counter]:  # noqa: A002
        return _Admitting(self._made(Counter, "counter", name, help, do, labels), labels)

    def gauge(self, name: str, help: str, *, do: str) -> Gauge:  # noqa: A002
        return self._made(Gauge, "gauge", name, help, do, {})

    def gauges(self, name: str, help: str, *, do: str, **labels: Values) -> Labelled[Gauge]:  # noqa: A002
        return _Admitting(self._made(Gauge, "gauge", name, help, do, labels), labels)

    def histogram(self, name: str, help: str, *, do: str, buckets: Sequence[float]) -> Histogram:  # noqa: A002
        return self._made(partial(Histogram, buckets=buckets), "histogram", name, help, do, {})

    def histograms(  # what a histogram with labels is made of, each by its name
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        do: str,
        buckets: Sequence[float],
        **labels: Values,
    ) -> Labelled[Histogram]:
        made = self._made(partial(Histogram, buckets=buckets), "histogram", name, help, do, labels)
        return _Admitting(made, labels)

    def _made(
        self,
        make: Callable[..., M],
        kind: Kind,
        name: str,
        help: str,  # noqa: A002
        do: str,
        labels: dict[str, Values],
    ) -> M:
        self.meanings.append(
            Meaning(name=name, kind=kind, help=help, unit=_unit(name), do=do, labels=labels)
        )
        return make(name, help, list(labels), registry=self.registry)


def _unit(name: str) -> str:
    """By the ending that Prometheus's own rules ask for."""
    stem = name.removesuffix("_total")
    for unit in ("seconds", "bytes", "ratio"):
        if stem.endswith(f"_{unit}"):
            return unit
    return "number"
