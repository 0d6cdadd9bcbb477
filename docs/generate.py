"""Writes the documents that are generated from the code. `make docs` runs it; a test compares."""

from __future__ import annotations

from pathlib import Path

from headrace.core.job import HELD, TERMINAL, TRANSITIONS, Event, State
from headrace.testkit.dashboards import jobs_dashboard, machines_dashboard
from headrace.testkit.metrics_page import metrics_page
from headrace.testkit.typescript import api_types

DOCS = Path(__file__).parent


def state_machine() -> str:
    return "\n".join(
        [
            "# The states of a job",
            "",
            "Generated from `libs/core/src/headrace/core/job.py` by `make docs`; do not edit.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {State.QUEUED}",
            f"    [*] --> {State.SCHEDULED}",
            *(f"    {state} --> {to}: {event}" for (state, event), to in TRANSITIONS.items()),
            *(f"    {state} --> [*]" for state in State if state in TERMINAL),
            "```",
            "",
            f"A worker holds a lease in: {_names(HELD)}. Terminal: {_names(TERMINAL)}.",
            "What the table does not name changes nothing: a late or repeated message is stale.",
            "",
            "| event | " + " | ".join(_open_states()) + " |",
            "| --- |" + " --- |" * len(_open_states()),
            *(_row(event) for event in Event),
            "",
        ]
    )


def _open_states() -> list[State]:
    return [state for state in State if state not in TERMINAL]


def _row(event: Event) -> str:
    cells = [TRANSITIONS.get((state, event), "") for state in _open_states()]
    return f"| {event} | " + " | ".join(cells) + " |"


def _names(states: frozenset[State]) -> str:
    return ", ".join(sorted(states))


GENERATED = {
    "state-machine.md": state_machine,
    "metrics.md": metrics_page,
    "../services/web/src/generated.ts": api_types,
    "../deploy/grafana/dashboards/jobs.json": jobs_dashboard,
    "../deploy/grafana/dashboards/machines.json": machines_dashboard,
}

if __name__ == "__main__":
    for name, write in GENERATED.items():
        (DOCS / name).write_text(write())
