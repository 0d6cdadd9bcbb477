"""What operators see of the whole installation, and what they ask of many jobs at once."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.api.dialects.native.schemas import UUID, JobView, Time
from headrace.core.job import State
from headrace.core.usecases.many import AT_ONCE
from headrace.core.usecases.receiving import Standing

JobIdText: TypeAlias = Annotated[str, Field(pattern=UUID)]
_NAMED = "Its last `next`, to go on from there."


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class Window(IntEnum):
    """Seconds that an overview's figures may be of."""

    A_MINUTE = 60
    FIVE_MINUTES = 300
    A_QUARTER = 900
    AN_HOUR = 3600


class LaneView(_Told):
    lane: str
    paused_since: datetime | None


class LaneStandingView(LaneView):
    trouble: str | None = Field(description="Why it cannot be offered, for an operator to mend.")
    workers: int = Field(description="Heard of lately, with slots for it, and not draining.")
    slots: int = Field(description="Of these workers.")
    waiting: int = Field(description="On all paths; 100000 of one path means: that or more.")
    offered: int = Field(description="In the workers' queue, for the next free slot.")
    running: int
    oldest_age_s: float | None = Field(
        description="Of what waits or is offered: since it could have run."
    )


class LanesView(_Told):
    lanes: list[LaneStandingView]


class EndedView(_Told):
    succeeded: int
    failed: int
    cancelled: int
    dead: int


class PercentilesView(_Told):
    """In seconds, to two digits; null: no job did."""

    p50: float | None
    p95: float | None


class FleetView(_Told):
    alive: int
    slots: int
    busy: int


class PathLoadView(_Told):
    path: str
    attended: bool = Field(description="Dispatchers of its own are there.")
    waiting: int = Field(description="Or offered.")
    running: int
    ended: int
    failed: int = Field(description="Or dead.")
    wait_p50_s: float | None
    run_p50_s: float | None


class BucketView(EndedView):
    at: datetime = Field(description="When it began; the last one is not over yet.")
    accepted: int
    wait_p50_s: float | None


class OverviewView(_Told):
    at: datetime
    window_s: float
    covers_s: float = Field(
        description="What the figures are of: about the window, or less where more came or ended "
        "in it than the latest 30,000 jobs."
    )
    bucket_s: float
    per_s: float = Field(description="Jobs that ended, each second.")
    ended: EndedView
    failure_rate: float | None = Field(
        description="Failed or dead, of those that were not cancelled; null: none ended."
    )
    wait_s: PercentilesView = Field(description="From when a job could have run to its start.")
    run_s: PercentilesView = Field(description="From its first start to its end.")
    dead_letters_open: int = Field(description="At most 100000 are counted.")
    lanes: list[LaneStandingView]
    workers: FleetView
    paths: list[PathLoadView]
    series: list[BucketView]


class JobFilter(_Asked):
    """Which jobs, of all tenants."""

    id: JobIdText | None = None
    tenant: str | None = Field(None, min_length=1, max_length=255)
    state: State | None = None
    kind: str | None = Field(None, max_length=64)
    model: str | None = Field(None, max_length=128)
    path: str | None = Field(None, max_length=64)
    lane: str | None = Field(
        None, min_length=1, max_length=128, description="The queue: its engine's name."
    )
    label: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._/-]{1,63}:.{0,255}$",
        description="`name:value`",
        examples=["team:red"],
    )
    error: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="A part of what the error of a failed or dead job says, in whatever case.",
    )
    worker: str | None = Field(
        None, min_length=1, max_length=128, description="Who runs it, or tried it once."
    )
    created_after: Time | None = None
    created_before: Time | None = None

    def said(self) -> dict[str, str]:
        """What narrows it, as it was written."""
        return {
            name: str(value) for name, value in self if name in JobFilter.model_fields and value
        }


class JobsQuery(JobFilter):
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


class AnybodysJobView(JobView):
    tenant: str
    path: str
    lane: str
    worker: str | None = Field(description="Who runs it now.")


class AnybodysJobsPage(_Told):
    jobs: list[AnybodysJobView]
    next: str | None = Field(
        description="The `cursor` to go on with; null: that was all. One request looks at 20,000 "
        "jobs at most, so a page may be empty and not be the last."
    )


class ManyRequest(_Asked):
    """Either `ids`, or all that a `filter` finds, so many a request."""

    ids: list[JobIdText] | None = Field(None, min_length=1, max_length=AT_ONCE)
    filter: JobFilter | None = None
    limit: int = Field(AT_ONCE, ge=1, le=AT_ONCE, description="Jobs that this request may touch.")
    cursor: str | None = Field(None, max_length=200, description=_NAMED)
    dry_run: bool = Field(default=False, description="Decide the same, and do nothing.")

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("say which: ids, or a filter")
        if self.filter is not None and not self.filter.said():
            raise ValueError("a filter has to name something")
        return self


class RefusedView(_Told):
    id: str
    why: str


class ManyView(_Told):
    matched: int
    done: int = Field(description="Of a dry run: so many would be.")
    more: bool = Field(description="The filter may find more: ask again, with `next` as `cursor`.")
    next: str | None
    refused: list[RefusedView]


class MoveRequest(_Asked):
    """Either `to` or `priority`."""

    to: Literal["front", "back"] | None = None
    priority: int | None = Field(None, ge=-100, le=100)

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if (self.to is None) == (self.priority is None):
            raise ValueError("say where: to, or priority")
        return self


class MovedView(_Told):
    id: str
    tenant: str
    lane: str
    priority: int
    queue_position: int = Field(description="Jobs before it in its lane, an estimate.")


class RunningView(_Told):
    job: str
    kind: str
    lane: str
    attempt: int
    started_at: datetime | None
    progress: float | None


class GpuView(_Told):
    name: str
    utilisation: float
    memory_used_bytes: int
    memory_total_bytes: int


class WarmModelView(_Told):
    lane: str
    model: str
    slots: int = Field(description="That have it loaded.")
    memory_bytes: int = Field(description="What loading it added: on the GPU, or else resident.")
    load_s: float = Field(description="What loading it took.")


class WorkerView(_Told):
    id: str
    path: str | None
    state: Standing
    seen_at: datetime
    drain_asked_at: datetime | None
    slots: dict[str, int]
    running: list[RunningView]
    memory_bytes: int | None = Field(description="Resident, with its engines' processes.")
    gpus: list[GpuView] | None = Field(description="Null: it cannot tell.")
    models: list[WarmModelView] | None = Field(
        description="Loaded now, so that their jobs start at once. Null: it cannot tell."
    )
    placed: dict[str, list[str]] = Field(
        description="By lane, the GPU that each slot was given; a lane that sees them all is not there."
    )
    receives: bool | None = Field(description="Whether an offer and its grant would reach it.")
    why: str


class WorkersView(_Told):
    workers: list[WorkerView]
