"""Between the door's words and a schedule's: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from headrace.api.dialects.native import schemas_schedules as schemas
from headrace.api.dialects.native.errors import problem_for
from headrace.api.dialects.native.translate import write_cursor
from headrace.api.problems import Refused
from headrace.contracts.ids import TenantId
from headrace.core.cron import in_words
from headrace.core.errors import InvalidInput, UnknownModel, UnknownPipeline
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.usecases.schedules import Recurrence


def recurrence(asked: schemas.ScheduleRequest, tenant: TenantId) -> Recurrence:
    return Recurrence(
        tenant=tenant,
        cron=asked.cron,
        timezone=asked.timezone,
        job=None if asked.job is None else _template(asked.job),
        run=None if asked.run is None else asked.run.model_dump(),
    )


def _template(asked: schemas.ScheduledJob) -> dict[str, Any]:
    fields = asked.model_dump()
    return {
        **{name: fields[name] for name in fields if name != "timeout"},
        "timeout_s": asked.timeout,
    }


@contextmanager
def pointing_into(asked: schemas.ScheduleRequest) -> Iterator[None]:
    """What is wrong with its job or run is told with the place in the whole."""
    try:
        yield
    except (InvalidInput, UnknownModel, UnknownPipeline) as error:
        problem, part = problem_for(error), "/job" if asked.run is None else "/run"
        where = {"pointer": f"{part}{problem.fields['pointer']}"}
        raise Refused(replace(problem, fields={**problem.fields, **where})) from error


def view(schedule: Schedule) -> schemas.ScheduleView:
    return schemas.ScheduleView(**_facts(schedule))


def detail(schedule: Schedule, fires: Sequence[Fire]) -> schemas.ScheduleDetail:
    return schemas.ScheduleDetail(**_facts(schedule), fires=_fires(fires))


def anybodys(schedule: Schedule) -> schemas.AnybodysScheduleView:
    return schemas.AnybodysScheduleView(**_facts(schedule), tenant=schedule.tenant)


def anybodys_detail(schedule: Schedule, fires: Sequence[Fire]) -> schemas.AnybodysScheduleDetail:
    return schemas.AnybodysScheduleDetail(
        **_facts(schedule), tenant=schedule.tenant, fires=_fires(fires)
    )


def next_of(found: Sequence[Schedule], limit: int) -> str | None:
    """The cursor behind a page, of which one more than its limit was looked for."""
    if len(found) <= limit:
        return None
    return write_cursor(found[limit - 1].created_at, found[limit - 1].id)


def _facts(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "cron": schedule.cron,
        "in_words": in_words(schedule.cron),
        "timezone": schedule.timezone,
        "job": None if schedule.job is None else _job(schedule.job),
        "run": schedule.run,
        "next_at": schedule.next_at,
        "last_at": schedule.last_at,
        "last_error": schedule.last_error,
        "paused_at": schedule.paused_at,
        "created_at": schedule.created_at,
    }


def _job(template: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in template.items() if name != "timeout_s"}
    return {**shown, "timeout": template["timeout_s"]}


def _fires(fires: Sequence[Fire]) -> list[schemas.FireView]:
    return [
        schemas.FireView(
            fire_at=each.fire_at,
            fired_at=each.fired_at,
            job=each.job,
            run=each.run,
            error=each.error,
        )
        for each in fires
    ]
