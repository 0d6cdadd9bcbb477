"""Runs of pipelines over the wire at the native door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from headrace.api.dialects.native.schemas import ErrorView, LabelName, LabelValue
from headrace.core.pipeline import LONGEST_DEADLINE_S
from headrace.core.run import PieceState, RunState, StageState

_ID: Final[JsonDict] = {"format": "uuid"}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


Deadline = Annotated[
    float | None,
    Field(
        gt=0,
        le=LONGEST_DEADLINE_S,
        allow_inf_nan=False,
        description="All of it is to be over so many seconds after it begins: then what runs is "
        "stopped, nothing more begins, and it has failed. Null: as the pipeline says.",
    ),
]


class RunRequest(_Asked):
    pipeline: str = Field(min_length=1, max_length=64, examples=["illustrate"])
    input: dict[str, Any] = Field(
        description="What the pipeline `takes`, as `GET /pipelines` tells.",
        examples=[{"prompt": "a red rocket at night"}],
    )
    priority: int = Field(0, ge=-100, le=100, description="Of each of its jobs.")
    deadline_s: Deadline = None
    # Two less than a job may have: those of the run and the stage are added.
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=14)


class AdditionRequest(_Asked):
    """All of it may be left out: then the last picture is worked on, by the usual model."""

    stage: str | None = Field(
        None, min_length=1, max_length=64, description="Whose picture; the last one's if left out."
    )
    model: str | None = Field(None, min_length=1, max_length=128)
    input: dict[str, Any] = Field(
        default_factory=dict, description="What the engine takes beside the picture."
    )


class PieceView(_Told):
    index: int
    state: PieceState
    tries: int = Field(description="Which job of this piece it is, from 1.")
    job: str | None = Field(json_schema_extra=_ID)
    progress: float | None
    output: dict[str, Any] | None
    error: ErrorView | None
    started_at: datetime | None
    ended_at: datetime | None


class StageOutline(_Told):
    name: str
    kind: str
    model: str | None = Field(description="Of a registered one the version: `NAME@N`.")
    made_by: str | None = Field(description="The stage whose training makes its model.")
    register_as: str | None = Field(description="The model that it makes a version of.")
    after: list[str] = Field(description="The stages that it takes from.")
    fans_out: bool


class StageView(StageOutline):
    state: StageState
    progress: float
    on_failure: str = Field(description="`fail`: the run fails with it; `go_on`: not.")
    pieces: list[PieceView] = Field(description="One, or one for each item of a fan-out.")


class RunLinks(_Told):
    self: str
    events: str
    ws: str
    cancel: str


class RunError(ErrorView):
    stage: str | None = None
    index: int | None = None


class RunSummary(_Told):
    id: str = Field(json_schema_extra=_ID)
    pipeline: str
    state: RunState
    priority: int
    labels: dict[str, str]
    input: dict[str, Any]
    error: RunError | None = Field(
        description="Of a run that failed: why, and the stage unless it was its deadline."
    )
    deadline_s: float | None
    deadline_at: datetime | None = Field(
        description="What is not over by then fails. Null: it has all the time."
    )
    created_at: datetime | None
    finished_at: datetime | None
    trace_id: str | None
    links: RunLinks


class RunView(RunSummary):
    progress: float = Field(description="0 to 1, by the weights of its stages.")
    stages: list[StageView]


class RunsPage(_Told):
    runs: list[RunSummary]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class TakenView(_Told):
    name: str
    shape: str = Field(examples=["text", "a list of blob"])
    optional: bool


class PipelineView(_Told):
    name: str
    title: str
    takes: list[TakenView]
    stages: list[StageOutline]
    deadline_s: float | None = Field(description="Of a run that says no other; null: none.")
    problem: str | None = Field(description="Why it cannot be run now; null: it can.")
