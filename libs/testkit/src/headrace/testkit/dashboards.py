"""Grafana's dashboards, written from a page of rows: nobody edits thousands of lines of JSON by hand.

`make docs` writes them to deploy/grafana/dashboards; a test holds every query to the metrics there are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_PROMETHEUS: Final = {"type": "prometheus", "uid": "prometheus"}
_WIDE: Final = 24
_HEIGHT: Final = 7


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str  # Grafana's name for it
    queries: dict[str, str]  # legend -> PromQL
    kind: str = "timeseries"
    exemplars: bool = False


def _quantiles(metric: str, by: str, where: str = "") -> dict[str, str]:
    rate = f"sum by ({by}, le) (rate({metric}_bucket{where}[$__rate_interval]))"
    return {
        f"p{round(q * 100)} {{{{{by}}}}}": f"histogram_quantile({q}, {rate})" for q in (0.5, 0.95)
    }


def _rate(metric: str, by: str, where: str = "") -> dict[str, str]:
    legend = " ".join(f"{{{{{name.strip()}}}}}" for name in by.split(","))
    return {legend: f"sum by ({by}) (rate({metric}{where}[$__rate_interval]))"}


def _most(metric: str, by: str = "lane") -> dict[str, str]:
    """Every dispatcher tells the same: the highest, not the sum."""
    return {f"{{{{{by}}}}}": f"max by ({by}) ({metric})"}


_JOBS: Final[dict[str, Sequence[Panel]]] = {
    "At a glance": [
        Panel("Waiting", "short", {"waiting": "sum(max by (lane) (headrace_outbox_waiting))"}, "stat"),
        Panel("Running", "short", {"running": "sum(max by (lane) (headrace_leases))"}, "stat"),
        Panel("Slots", "short", {"slots": "sum(max by (lane) (headrace_slots))"}, "stat"),
        Panel("Workers", "short", {"workers": "max(headrace_workers)"}, "stat"),
        Panel("Watchers", "short", {"watchers": "sum(headrace_watchers)"}, "stat"),
        Panel(
            "Parked in an hour",
            "short",
            {"parked": "sum(increase(headrace_dead_letters_total[1h]))"},
            "stat",
        ),
    ],
    "Jobs": [
        Panel("Jobs that ended", "ops", _rate("headrace_jobs_ended_total", "state")),
        Panel(
            "Wait for a slot",
            "s",
            _quantiles("headrace_queue_wait_seconds", "lane"),
            exemplars=True,
        ),
        Panel("From submission to the end", "s", _quantiles("headrace_job_seconds", "lane"), exemplars=True),
        Panel(
            "Engines at work",
            "s",
            _quantiles("headrace_stage_seconds", "lane", '{stage="run"}'),
            exemplars=True,
        ),
        Panel("Where attempts spend their time", "s", _quantiles("headrace_stage_seconds", "stage")),
        Panel("Attempts", "ops", _rate("headrace_attempts_ended_total", "lane, outcome")),
        Panel("Why jobs are tried again", "ops", _rate("headrace_retries_total", "lane, reason")),
        Panel("Parked for a person", "ops", _rate("headrace_dead_letters_total", "source")),
    ],
    "Queues": [
        Panel("Waiting to be offered", "short", _most("headrace_outbox_waiting")),
        Panel("Age of the next", "s", _most("headrace_outbox_oldest_seconds")),
        Panel("Offered, not claimed", "short", _most("headrace_outbox_offered")),
        Panel("Held by workers, of slots", "short", {
            "{{lane}} held": "max by (lane) (headrace_leases)",
            "{{lane}} slots": "max by (lane) (headrace_slots)",
        }),
        Panel("Claims by answer", "ops", _rate("headrace_claims_total", "answer")),
        Panel("Offers sent, and sent again", "ops", {
            "sent": "sum(rate(headrace_offers_sent_total[$__rate_interval]))",
            "again": "sum(rate(headrace_offers_repeated_total[$__rate_interval]))",
        }),
        Panel("Items of batches", "ops", _rate("headrace_batch_items_total", "outcome")),
        Panel("Schedules that fired", "ops", _rate("headrace_schedules_fired_total", "outcome")),
        Panel("Webhook calls", "ops", {
            "{{outcome}}": "sum by (outcome) (rate(headrace_webhook_calls_total[$__rate_interval]))",
            "seconds each": "sum(rate(headrace_webhook_call_seconds_sum[$__rate_interval]))"
                " / sum(rate(headrace_webhook_call_seconds_count[$__rate_interval]))",
        }),
        Panel("Messages tried again or buried", "ops", _rate("headrace_messages_settled_total", "outcome")),
        Panel("Rollouts taken back, shadows compared", "ops", {
            "taken back": "sum(rate(headrace_rollbacks_total[$__rate_interval]))",
            "shadows {{outcome}}":
                "sum by (outcome) (rate(headrace_shadows_compared_total[$__rate_interval]))",
        }),
    ],
    "Streams and HTTP": [
        Panel("Requests", "reqps", _rate("headrace_http_request_seconds_count", "status")),
        Panel("Time to the head of an answer", "s", _quantiles("headrace_http_request_seconds", "route"), exemplars=True),
        Panel("Requests that wait", "short", {"{{instance}}": "headrace_http_requests_running"}),
        Panel("Watchers", "short", {"{{door}}": "sum by (door) (headrace_watchers)"}),
        Panel("From an engine's word to its log", "s", _quantiles("headrace_stream_lag_seconds", "job"), exemplars=True),
        Panel("Frames", "ops", _rate("headrace_frames_total", "type")),
        Panel("Frames given up", "ops", _rate("headrace_frames_dropped_total", "instance")),
    ],
}  # fmt: skip

_MACHINES: Final[dict[str, Sequence[Panel]]] = {
    "Workers": [
        Panel("Slots", "short", {
            "{{lane}} {{standing}}": "sum by (lane, standing) (headrace_worker_slots)"
        }),
        Panel(
            "Memory of engines",
            "bytes",
            {
                "{{instance}} {{lane}}": "headrace_engine_memory_bytes",
                "{{instance}} {{lane}}, on GPUs": "headrace_engine_gpu_memory_bytes",
            },
        ),
        Panel("Jobs that an engine did in one go", "short", {
            "{{lane}}": "sum by (lane) (rate(headrace_batch_jobs_sum[$__rate_interval]))"
            " / sum by (lane) (rate(headrace_batch_jobs_count[$__rate_interval]))",
        }),
        Panel("GPU at work", "percentunit", {"{{instance}} {{gpu}}": "headrace_gpu_utilisation_ratio"}),
        Panel("GPU memory", "percentunit", {
            "{{instance}} {{gpu}}":
                "headrace_gpu_memory_used_bytes / headrace_gpu_memory_total_bytes"
        }),
        Panel("Models that were warm", "ops", _rate("headrace_model_loads_total", "lane, warm")),
        Panel("Models let go of", "ops", _rate("headrace_model_evictions_total", "lane")),
        Panel("Loading a model", "s", _quantiles("headrace_model_load_seconds", "lane")),
    ],
    "Processes": [
        Panel("Answering", "short", {"{{job}} {{instance}}": "up"}),
        Panel("Memory", "bytes", {"{{job}} {{instance}}": "process_resident_memory_bytes"}),
        Panel("CPU", "percentunit", {
            "{{job}} {{instance}}": "rate(process_cpu_seconds_total[$__rate_interval])"
        }),
        Panel("Event loop late by", "s", _quantiles("headrace_event_loop_lag_seconds", "instance")),
        Panel("Since a loop's last turn", "s", {
            "{{job}} {{loop}}":
                "time() - max by (job, loop) (headrace_loop_last_success_timestamp_seconds)"
        }),
        Panel("A loop's turn", "s", _quantiles("headrace_loop_turn_seconds", "loop")),
    ],
    "What they stand on": [
        Panel("Database", "s", _quantiles("headrace_store_transaction_seconds", "outcome"), exemplars=True),
        Panel("Transactions", "ops", _rate("headrace_store_transaction_seconds_count", "job, outcome")),
        Panel("RabbitMQ's confirms", "s", _quantiles("headrace_bus_send_seconds", "queue")),
        Panel("Messages", "ops", _rate("headrace_bus_sent_total", "queue, outcome")),
        Panel("Redis", "s", _quantiles("headrace_stream_append_seconds", "outcome")),
        Panel("Spans sent, and given up", "ops", {
            "sent": "sum(rate(headrace_spans_sent_total[$__rate_interval]))",
            "{{reason}}": "sum by (reason) (rate(headrace_spans_dropped_total[$__rate_interval]))",
        }),
    ],
}  # fmt: skip


def jobs_dashboard() -> str:
    return _dashboard("headrace-jobs", "Headrace: jobs", _JOBS)


def machines_dashboard() -> str:
    return _dashboard("headrace-machines", "Headrace: machines", _MACHINES)


def _dashboard(uid: str, title: str, rows: dict[str, Sequence[Panel]]) -> str:
    panels: list[dict[str, Any]] = []
    y = 0
    for row, of_row in rows.items():
        panels.append(_row(len(panels) + 1, row, y))
        y += 1
        each_wide = 4 if of_row[0].kind == "stat" else 6 if len(of_row) % 4 == 0 else 8
        for nth, panel in enumerate(of_row):
            across = _WIDE // each_wide
            x, down = nth % across * each_wide, nth // across * _HEIGHT
            panels.append(_panel(len(panels) + 1, panel, (x, y + down, each_wide)))
        y += -(-len(of_row) // (_WIDE // each_wide)) * _HEIGHT
    whole = {
        "uid": uid,
        "title": title,
        "tags": ["headrace"],
        "editable": False,
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"title": "Headrace", "type": "dashboards", "tags": ["headrace"], "asDropdown": True}
        ],
        "panels": panels,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _row(number: int, title: str, y: int) -> dict[str, Any]:
    at = {"x": 0, "y": y, "w": _WIDE, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": at,
        "panels": [],
    }


def _panel(number: int, panel: Panel, at: tuple[int, int, int]) -> dict[str, Any]:
    x, y, wide = at
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _PROMETHEUS,
        "gridPos": {"x": x, "y": y, "w": wide, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + nth),
                "datasource": _PROMETHEUS,
                "expr": query,
                "legendFormat": legend,
                "exemplar": panel.exemplars,
            }
            for nth, (legend, query) in enumerate(panel.queries.items())
        ],
    }
