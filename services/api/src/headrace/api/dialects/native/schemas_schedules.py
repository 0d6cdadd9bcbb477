"""Schedules over the wire at the native door."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.api.dialects.native.schemas import LabelName, LabelValue
from headrace.api.dialects.native.schemas_keys import TENANT
from headrace.api.dialects.native.schemas_runs import Deadline
from headrace.core.cron import LONGEST


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScheduledJob(_Asked):
    """What each firing submits."""

    kind: str = Field(min_length=1, max_length=64, examples=["text"])
    model: str | None = Field(None, min_length=1, max_length=128)
    input: dict[str, Any] = Field(examples=[{"prompt": "What happened today?"}])
    priority: int = Field(0, ge=-100, le=100)
    timeout: float = Field(3600.0, gt=0, le=604_800, allow_inf_nan=False)
    # One less than a job may have: the schedule's own is added.
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=15)


class ScheduledRun(_Asked):
    """What each firing begins."""

    pipeline: str = Field(min_length=1, max_length=64, examples=["illustrate"])
    input: dict[str, Any] = Field(
        description="What the pipeline `takes`, as `GET /pipelines` tells.",
        examples=[{"prompt": "a red rocket at night"}],
    )
    priority: int = Field(0, ge=-100, le=100, description="Of each of its jobs.")
    deadline_s: Deadline = None
    # Three less than a job may have: those of the schedule, the run and the stage are added.
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=13)


class ScheduleRequest(_Asked):
    """With a `job` or a `run`."""

    cron: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="Minute, hour, day of month, month, day of week.",
        examples=["0 6 * * MON-FRI"],
    )
    timezone: str = Field(
        "UTC", min_length=1, max_length=64, description="IANA name.", examples=["Europe/Berlin"]
    )
    job: ScheduledJob | None = None
    run: ScheduledRun | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.job is None) == (self.run is None):
            raise ValueError("give it a job or a run, and not both")
        return self


class ScheduleView(_Told):
    id: str = Field(json_schema_extra={"format": "uuid"})
    cron: str
    in_words: str | None = Field(
        description="The expression in English.", examples=["At 06:00 on Monday through Friday"]
    )
    timezone: str
    job: dict[str, Any] | None
    run: dict[str, Any] | None
    next_at: datetime | None = Field(description="Null: it will never fire again.")
    last_at: datetime | None
    last_error: str | None = Field(description="Why its last firing made nothing.")
    paused_at: datetime | None
    created_at: datetime | None


class FireView(_Told):
    fire_at: datetime = Field(description="When it was due.")
    fired_at: datetime | None
    job: str | None
    run: str | None
    error: str | None


class ScheduleDetail(ScheduleView):
    fires: list[FireView] = Field(description="The latest, newest first.")


class SchedulesPage(_Told):
    schedules: list[ScheduleView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class AnybodysScheduleRequest(ScheduleRequest):
    tenant: str = Field(pattern=TENANT, description="Whose it is to be.")


class AnybodysScheduleView(ScheduleView):
    tenant: str


class AnybodysScheduleDetail(ScheduleDetail):
    tenant: str


class AnybodysSchedulesPage(_Told):
    schedules: list[AnybodysScheduleView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
