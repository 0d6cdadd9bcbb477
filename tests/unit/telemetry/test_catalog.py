"""Metrics mean something, and no input can grow them without end."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from headrace.telemetry.catalog import OTHER, Bounded, Catalog
from headrace.telemetry.metrics import CATALOG

TENANTS_OR_JOBS = {
    "tenant",
    "job",
    "job_id",
    "user",
    "key",
    "trace",
    "trace_id",
    "message",
    "error",
}


def a_catalog() -> Catalog:
    return Catalog(CollectorRegistry())


def test_a_value_outside_of_a_closed_set_is_other() -> None:
    catalog = a_catalog()
    asked = catalog.counters("asked_total", "Asked.", do="-", answer=("yes", "no"))

    asked.labels(answer="perhaps").inc()

    assert catalog.registry.get_sample_value("asked_total", {"answer": OTHER}) == 1
    assert catalog.registry.get_sample_value("asked_total", {"answer": "perhaps"}) is None


def test_a_bounded_label_takes_so_many_values_and_no_more() -> None:
    catalog = a_catalog()
    asked = catalog.counters("asked_total", "Asked.", do="-", lane=Bounded(3, "lane"))

    for number in range(1000):
        asked.labels(lane=f"lane-{number}").inc()

    (family,) = catalog.registry.collect()
    values = {sample.labels["lane"]: sample.value for sample in family.samples}
    assert values == {"lane-0": 1, "lane-1": 1, "lane-2": 1, OTHER: 997}


def test_what_can_be_counted_is_zero_before_it_is() -> None:
    catalog = a_catalog()
    asked = catalog.counters(
        "asked_total", "Asked.", do="-", lane=Bounded(3, "lane"), answer=("yes", "no")
    )

    asked.labels(lane="echo", answer="yes")

    assert catalog.registry.get_sample_value("asked_total", {"lane": "echo", "answer": "no"}) == 0


def test_every_label_has_an_end_and_none_tells_of_a_tenant_or_a_job() -> None:
    for meaning in CATALOG.meanings:
        assert not meaning.labels.keys() & TENANTS_OR_JOBS, meaning.name
        for values in meaning.labels.values():
            most = values.most if isinstance(values, Bounded) else len(values)
            assert most <= 128, meaning.name


def test_every_metric_says_what_it_means_and_what_to_do() -> None:
    for meaning in CATALOG.meanings:
        assert meaning.help.endswith("."), meaning.name
        assert meaning.do, meaning.name


def test_names_are_as_prometheus_asks_for() -> None:
    for meaning in CATALOG.meanings:
        assert re.fullmatch(r"headrace_[a-z_]+", meaning.name)
        assert meaning.name.endswith("_total") == (meaning.kind == "counter"), meaning.name
        if meaning.kind == "histogram":
            # Of times, in the base unit and named so; else of things, by number.
            assert meaning.name.endswith("_seconds") == (meaning.unit == "seconds"), meaning.name
            assert meaning.unit in {"seconds", "number"}, meaning.name


def test_every_metric_of_ours_is_in_the_catalog() -> None:
    ours = {f.name for f in CATALOG.registry.collect() if f.name.startswith("headrace_")}

    assert ours == {meaning.name.removesuffix("_total") for meaning in CATALOG.meanings}
