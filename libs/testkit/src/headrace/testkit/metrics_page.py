"""`docs/metrics.md`, written from the metrics that the code declares."""

from __future__ import annotations

from headrace.telemetry.catalog import Bounded, Meaning, Values
from headrace.telemetry.metrics import CATALOG

_HEAD = """# The metrics

Generated from `libs/telemetry/src/headrace/telemetry/metrics.py` by `make docs`; do not edit.

Every process keeps them. An api tells its own at `/metrics`; a dispatcher and a worker do where `METRICS_PORT` is set (and `/livez`, for probes).
In one process the api's `/metrics` has all of them. With `OTEL_EXPORTER_OTLP_ENDPOINT` they are also pushed there, every 15 s. Beside them stand
`process_*` and `python_*`, as prometheus-client has them.

Who accepts OpenMetrics gets exemplars: of the histograms about jobs, requests and transactions each bucket names a trace (`headrace trace TRACE_ID`).
What the store knows (the outbox, leases, slots, workers) every dispatcher tells alike: take the `max`, not the `sum`.

Labels have an end: their values are a closed set, or the first so many that come, and the next are `other`. None tells of a tenant or a job.

Graphs and alerts that use them are in [deploy/](../deploy/); [the runbook](runbook.md#alerts) says what to do about each alert.

| metric | unit | labels | means | when it is off |
| --- | --- | --- | --- | --- |
"""


def metrics_page() -> str:
    return _HEAD + "".join(f"{_row(each)}\n" for each in CATALOG.meanings)


def _row(of: Meaning) -> str:
    labels = "<br>".join(f"`{name}`: {_values(values)}" for name, values in of.labels.items())
    kind = f"{of.kind}, {of.unit}"
    return f"| `{of.name}` | {kind} | {labels} | {_cell(of.help)} | {_cell(of.do)} |"


def _values(values: Values) -> str:
    if isinstance(values, Bounded):
        return f"{values.what}, {values.most} at most"
    return ", ".join(values)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
