"""Dead letters and the audit over the wire, as operators see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.api.dialects.native.schemas import AttemptView
from headrace.core.ports.dead_letters import Settled, Source


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class LetterFilter(BaseModel):
    """Which dead letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str | None = Field(None, max_length=64, pattern=r"^[0-9a-f]+$")
    source: Source | None = None
    queue: str | None = Field(None, min_length=1, max_length=255)
    tenant: str | None = Field(None, min_length=1, max_length=255)


class LettersQuery(LetterFilter):
    settled: Annotated[bool, Field(description="Those that were replayed or discarded.")] = False
    limit: int = Field(50, ge=1, le=200)
    before: int | None = Field(None, ge=1, le=2**62, description="`next` of the page before.")


class DiscardRequest(LetterFilter):
    """All that the filter finds. Without any filter, `all` must be true."""

    all: bool = False

    @model_validator(mode="after")
    def _meant(self) -> Self:
        asked = (self.fingerprint, self.source, self.queue, self.tenant)
        if not self.all and not any(asked):
            raise ValueError("say which (fingerprint, source, queue, tenant), or all: true")
        return self


class ReplayRequest(DiscardRequest):
    per_s: float = Field(
        10.0, gt=0, le=1000, allow_inf_nan=False, description="At most so many each second."
    )
    dry_run: bool = Field(default=False, description="Say what it would do, and do nothing.")


class ReplayOneRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dry_run: bool = Field(default=False, description="Say what it would do, and do nothing.")
    input: dict[str, Any] | None = Field(
        None, description="Of a dead job: instead of its own, which stays as it was."
    )


class RehearsalView(_Told):
    """What a replay would do."""

    number: int
    would: Literal["run", "send", "nothing"] = Field(
        description="Run its job again, send the message again, or nothing."
    )
    to: str = Field(description="The job's lane, or the message's queue.")
    fits: bool | None = Field(
        description="Its input into its engine's schema; null: not looked at."
    )
    why: str | None = Field(description="Why it would do nothing, not fit, or wait.")
    pointer: str | None = Field(
        description="What of its input does not fit, as a refusal says it: `/input/prompt`."
    )


class RehearsedView(_Told):
    count: int = Field(description="So many would be replayed.")
    more: bool = Field(description="The filter finds more than one request may touch.")
    unfit: int = Field(description="Of these, so many would fail: their input does not fit.")
    doubtful: list[RehearsalView] = Field(description="Those of which there is something to say.")


class GroupView(_Told):
    fingerprint: str
    source: Source
    title: str = Field(description="The cause, without ids, numbers and paths.")
    count: int
    first_at: datetime
    last_at: datetime


class GroupsView(_Told):
    groups: list[GroupView]


class LetterView(_Told):
    number: int
    source: Source
    fingerprint: str
    reason: str
    queue: str
    tenant: str | None
    job: str | None
    size: int
    parked_at: datetime
    replay_at: datetime | None = Field(description="When it is to be replayed.")
    settled: Settled | None
    settled_at: datetime | None
    settled_by: str | None
    retried_as: str | None = Field(description="The job that it became.")


class DeadJobView(_Told):
    """A job that died: what was asked for, and what became of it each time."""

    kind: str
    model: str
    input: dict[str, Any]
    input_schema: dict[str, Any] | None = Field(
        description="JSON Schema of what its engine takes. Null: nobody runs this model any more."
    )
    trace_id: str | None
    attempts: list[AttemptView]


class LetterDetail(LetterView):
    message: str
    headers: dict[str, str]
    encoding: Literal["utf-8", "base64"] = Field(description="How `body` is written here.")
    body: str
    whole: bool = Field(description="False: only the beginning was kept.")
    died: DeadJobView | None = Field(description="Null: it is a message, or the job was deleted.")


class LettersPage(_Told):
    letters: list[LetterView]
    next: int | None


class SettledView(_Told):
    count: int
    more: bool = Field(description="The filter finds more than one request may touch: ask again.")
    until: datetime | None = Field(None, description="When the last replay is planned for.")


class DeedView(_Told):
    number: int
    at: datetime
    who: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(_Told):
    audit: list[DeedView]
    next: int | None
