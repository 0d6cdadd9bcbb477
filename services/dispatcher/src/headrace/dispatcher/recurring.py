"""Schedules: jobs are made, and runs begun, when their time comes. Any number of dispatchers may look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headrace.contracts.messages import EngineCard
from headrace.core.ports.store import Store
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.schedules import Firing, Makers, fire_due
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.options import DispatcherOptions
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about_job, new_trace

_log = get_logger("dispatcher.recurring")


class Recurring:
    def __init__(
        self,
        store: Store,
        options: DispatcherOptions,
        attendance: Attendance,
        new_id: Callable[[], str],
    ) -> None:
        self._store, self._options, self._attendance = store, options, attendance
        self._firing = Firing(
            missed=options.missed,
            makers=Makers(
                new_id,
                _checked_at_the_door,
                new_trace=lambda: new_trace("schedule.fire"),
                pipelines=options.pipelines,
            ),
            admission=Admission(options.caps, options.monotonic),
            basis=options.basis,
        )

    async def fire(self) -> bool:
        """True: more are due."""
        full = [await self._fire_on(path) for path in self._attendance.paths]
        return any(full)

    async def _fire_on(self, path: str) -> bool:
        fired = await fire_due(self._store, self._firing, path=path, limit=self._options.batch)
        for job in fired.jobs:
            metrics.SCHEDULES_FIRED.labels(outcome="job").inc()
            with about_job(job):
                _log.info("schedule.fired")
        for run in fired.runs:
            metrics.SCHEDULES_FIRED.labels(outcome="run").inc()
            _log.info("schedule.fired", run=run.id, tenant=run.tenant)
        for fire in fired.failed:
            metrics.SCHEDULES_FIRED.labels(outcome="failed").inc()
            _log.error("schedule.failed", schedule=fire.schedule, error=fire.error)
        for fire in fired.refused:
            metrics.SCHEDULES_FIRED.labels(outcome="refused").inc()
            _log.warning("schedule.refused", schedule=fire.schedule, error=fire.error)
        if fired.skipped:
            metrics.SCHEDULES_FIRED.labels(outcome="skipped").inc(fired.skipped)
            _log.warning("schedule.skipped", count=fired.skipped)
        return fired.full


def _checked_at_the_door(card: EngineCard, given: Mapping[str, Any]) -> None:
    """The api has checked the input; an engine that has changed since then refuses it itself."""
