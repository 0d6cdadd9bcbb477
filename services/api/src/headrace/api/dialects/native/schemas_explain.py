"""Why a job is where it is, over the wire at the native door."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from headrace.core.explain import Rule
from headrace.core.job import State


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class EligibleView(_Told):
    """A worker that can run the job."""

    worker: str
    slots: int
    warm_slots: int = Field(description="That have its model loaded.")
    seen_at: datetime


class ShareView(_Told):
    """What the job's tenant gets, and what it has running or offered."""

    weight: int
    running: int
    max_running: int | None
    running_in_lane: int
    max_running_per_lane: int | None


class BeforeView(_Told):
    job: str
    since: datetime


class InsideView(_Told):
    """What a running job waits for inside its worker, as that said last."""

    what: str = Field(description="`devices`, `download`, `load`, `batch` or `memory`.")
    since: datetime
    note: str
    before: list[BeforeView] = Field(description="The tenant's jobs that have what it waits for.")
    others: int = Field(description="How many of other tenants have it.")


class ExplainView(_Told):
    """Why a job is where it is."""

    state: State
    rule: Rule = Field(description="What holds it back, for programs.")
    why: str = Field(description="The same for people.")
    relax: list[str] = Field(description="What would help; any of these.")
    lane: str
    paused_since: datetime | None
    swap_s: float | None = Field(
        description="What loading its model took where it is loaded: what a cold slot costs it. "
        "Null: it is loaded nowhere, or nobody says."
    )
    waits_for: InsideView | None = Field(
        description="Inside its worker, once it has waited for half a second there."
    )
    workers: list[EligibleView]
    slots: int = Field(description="Of these workers, for this lane.")
    running_in_lane: int
    offered_in_lane: int
    queue_position: int | None = Field(description="Jobs ahead of it in its lane, while queued.")
    not_before: datetime | None
    start_deadline: datetime | None
    tenant: ShareView
