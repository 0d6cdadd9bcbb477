"""What goes over the wire at the native door. Requests are strict: an unknown field is a mistake."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
)

from headrace.api.dialects.native.schemas_uploads import BlobLinkView
from headrace.core.addresses import LONGEST as LONGEST_URL
from headrace.core.job import State
from headrace.core.webhooks import EventType

UUID: Final = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d")


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this time is outside of what a calendar in UTC can hold") from error


def _written_out(value: object) -> object:
    # pydantic would take a bare number too, and guess whether it is seconds or milliseconds
    if not isinstance(value, str) or _RFC3339.match(value) is None:
        raise ValueError("a time looks like 2030-01-31T12:00:00Z")
    return value


Time: TypeAlias = Annotated[
    AwareDatetime, Strict(strict=False), BeforeValidator(_written_out), AfterValidator(_to_utc)
]
LabelName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,63}$")]
LabelValue: TypeAlias = Annotated[str, Field(max_length=255)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class CancelAfter(_Asked):
    cancel_after: float = Field(ge=0, le=86_400, description="Seconds without any watcher.")


class WebhookRequest(_Asked):
    url: str = Field(
        min_length=1, max_length=LONGEST_URL, examples=["https://receiver.example/headrace"]
    )
    events: list[EventType] = Field(
        default_factory=list,
        max_length=len(EventType),
        description="None: its end, whatever that is.",
    )


class JobRequest(_Asked):
    kind: str = Field(min_length=1, max_length=64, examples=["text"])
    model: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="An engine's own, or a registered one: `NAME`, `NAME@3`. The kind's default when left out.",
    )
    input: dict[str, Any] = Field(
        description="Fits the `input_schema` that `GET /models` tells for the kind and model.",
        examples=[{"prompt": "Tell me about rivers."}],
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher first, within one tenant.")
    run_at: Time | None = Field(None, description="Not before this time.")
    start_deadline: Time | None = Field(None, description="Fail if it has not started by then.")
    timeout: float = Field(
        3600.0, gt=0, le=604_800, allow_inf_nan=False, description="Seconds one attempt may run."
    )
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=16)
    sticky: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Whoever shares it gets the same version of a registered model; else all of a tenant.",
    )
    register_as: str | None = Field(
        None,
        max_length=63,
        description="Of a training: the registered model it makes a version of.",
    )
    on_disconnect: Literal["continue"] | CancelAfter = Field(
        "continue",
        description="What becomes of it when its last watcher has left. Unwatched jobs go on.",
    )
    webhook: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)] | WebhookRequest | None = (
        Field(None, description="Who is called when it ends: an address, or one with `events`.")
    )


class InferenceRequest(JobRequest):
    kind: str = Field("inference", min_length=1, max_length=64, description="Any but `training`.")


class TrainingRequest(JobRequest):
    kind: Literal["training"] = "training"


class ListQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = None
    kind: str | None = Field(None, max_length=64)
    model: str | None = Field(None, max_length=128)
    label: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._/-]{1,63}:.{0,255}$",
        description="`name:value`",
        examples=["team:red"],
    )
    created_after: Time | None = None
    created_before: Time | None = None
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


class ErrorView(_Told):
    """Why a job did not succeed: `kind` is for programs, `message` for people."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    message: str
    field: str | None = None
    detail: str | None = None


class Links(_Told):
    self: str
    status: str
    result: str
    events: str
    ws: str
    cancel: str
    retry: str
    timeline: str


class CheckpointView(_Told):
    """What its attempts have left behind: the next one goes on from there."""

    step: int
    at: datetime


class JobView(_Told):
    id: str = Field(json_schema_extra={"format": "uuid"})
    kind: str
    model: str
    state: State
    attempt: int = Field(description="How many times it was given to a worker.")
    retry_of: str | None = Field(description="The job that somebody retried by hand.")
    progress: float | None = Field(description="How far, 0 to 1, as last reported.")
    checkpoint: CheckpointView | None = Field(
        description="What a next attempt goes on from; null where that begins at the beginning."
    )
    priority: int
    labels: dict[str, str]
    register_as: str | None = Field(description="The registered model it makes a version of.")
    input: dict[str, Any]
    result: JsonValue = Field(description="What the engine made; null until it succeeded.")
    error: ErrorView | None
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    trace_id: str | None
    links: Links


class JobsPage(_Told):
    jobs: list[JobView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class TicketView(_Told):
    ticket: str = Field(description="Send it as `?ticket=`, once.")
    expires_in_s: float


class StatusView(_Told):
    state: State
    attempt: int
    progress: float | None
    queue_position: int | None = Field(description="Jobs ahead of it in its lane, while queued.")
    eta_s: float | None = Field(description="Seconds until it ends, where progress tells.")


class StatusesQuery(BaseModel):
    """Which jobs to tell of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: list[Annotated[str, Field(pattern=UUID)]] = Field(min_length=1, max_length=64)


class OneStatusView(StatusView):
    id: str = Field(json_schema_extra={"format": "uuid"})
    started_at: datetime | None
    finished_at: datetime | None


class ResultView(_Told):
    state: State
    result: JsonValue
    error: ErrorView | None
    blobs: list[BlobLinkView] = Field(
        default_factory=list, description="Those that the result names, the first 64 of them."
    )


class StagesView(_Told):
    """Where an attempt's time went, in seconds."""

    claim_s: float
    load_s: float
    run_s: float
    store_s: float
    cold: bool = Field(description="Its model was not loaded where it came; `load_s` has the load.")


class AttemptView(_Told):
    attempt: int
    epoch: int
    worker: str
    members: list[str] = Field(
        description="Of a job that several workers run, all of them, the first one first; else none."
    )
    waited_s: float | None = Field(description="From when it could have run to when it did.")
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: ErrorView | None
    stages: StagesView | None
    resumed_step: int | None = Field(
        description="Of the checkpoint that it went on from; null: it began at the beginning."
    )


class TimelineView(_Told):
    id: str
    state: State
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_asked_at: datetime | None
    cancel_reason: Literal["asked", "disconnected"] | None
    cancel_s: float | None = Field(description="From the wish to cancel it to its end.")
    total_s: float | None = Field(description="From submission to the end.")
    trace_id: str | None
    api_key: str | None = Field(
        description="The id of the key it was submitted with, if that is one the store keeps."
    )
    trace_url: str | None = Field(description="Where to look at it, if TRACE_URL is set.")
    checkpoint: CheckpointView | None
    attempts: list[AttemptView]


class TermsRequest(_Asked):
    weight: int = Field(1, ge=1, le=100, description="Jobs it gets in each round of the tenants.")
    max_running: int | None = Field(
        None, ge=1, le=1_000_000, description="Running or offered at once; null: no cap."
    )
    max_running_per_lane: int | None = Field(None, ge=1, le=1_000_000)
    max_queued: int | None = Field(
        None, ge=0, le=10_000_000, description="null: the installation's MAX_QUEUED_PER_TENANT."
    )
    retain_days: int | None = Field(
        None,
        ge=2,
        le=36_500,
        description="Jobs and runs go so many days after their end, or by RETAIN_DAYS if that is sooner.",
    )


class TermsView(_Told):
    tenant: str
    weight: int
    max_running: int | None
    max_running_per_lane: int | None
    max_queued: int | None
    retain_days: int | None


class ModelView(_Told):
    kind: str
    model: str
    title: str
    input_schema: dict[str, Any]
    registered: bool = Field(description="By a tenant; `GET /models/{name}` tells more.")


class BlobView(_Told):
    blob: str
    media_type: str
    size: int
    sha256: str = Field(description="In hex.")


class Complaint(_Told):
    """One thing that is wrong with a request, and where."""

    pointer: str | None = None
    parameter: str | None = None
    detail: str


class ProblemView(_Told):
    """RFC 9457. Further members depend on the type."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int
    detail: str
    pointer: str | None = Field(None, description="What in the body is wrong (RFC 6901).")
    parameter: str | None = Field(None, description="Which query or header field is wrong.")
    errors: list[Complaint] | None = None
    known: list[str] | None = Field(None, description="What would have been accepted.")


class DependencyView(_Told):
    ok: bool
    why: str | None = None


class HealthView(_Told):
    status: Literal["ok", "degraded", "down", "stopping"]
    version: str
    dependencies: dict[str, DependencyView]
