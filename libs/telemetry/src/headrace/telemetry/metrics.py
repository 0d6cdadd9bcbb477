"""Counters that every process keeps. Label values come from closed sets."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

LOOP_LAST_SUCCESS: Final = Gauge(
    "headrace_loop_last_success_timestamp_seconds",
    "When a background loop last finished a turn.",
    ["loop"],
)
JOBS_ENDED: Final = Counter("headrace_jobs_ended_total", "Jobs that reached their end.", ["state"])
OFFERS_SENT: Final = Counter("headrace_offers_sent_total", "Offers that the bus has kept.")
MESSAGES_SETTLED: Final = Counter(
    "headrace_messages_settled_total", "Messages tried again or buried.", ["outcome"]
)
DEAD_LETTERS: Final = Counter(
    "headrace_dead_letters_total", "Messages and jobs that were parked for a person.", ["source"]
)
SCHEDULES_FIRED: Final = Counter(
    "headrace_schedules_fired_total", "Times that a schedule was due.", ["outcome"]
)
ROLLBACKS: Final = Counter("headrace_rollbacks_total", "Times that the guard took a rollout back.")
SHADOWS_COMPARED: Final = Counter(
    "headrace_shadows_compared_total", "Jobs that ran on both paths, compared.", ["outcome"]
)
