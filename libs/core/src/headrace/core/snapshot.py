"""A job as a watcher is told of it when the log cannot tell: the state of a `reset` frame."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace.core.job import Job


def describe(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.spec.kind,
        "model": job.spec.model,
        "state": job.state.value,
        "attempt": job.attempt,
        "progress": job.progress,
        "output": job.output,
        "error": job.error,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
