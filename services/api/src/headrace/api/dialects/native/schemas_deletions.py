"""What goes over the wire about deletions: what is wanted gone, and the receipt."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.api.dialects.native.schemas import LabelName, LabelValue, Time


class DeletionRequest(BaseModel):
    """Which jobs, of those that are there now: all that is said holds for each."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=16)
    ended_before: Time | None = Field(None, description="Those that ended before this time.")
    cancel: bool = Field(
        default=False, description="Also those that have not ended: they are cancelled first."
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if not self.labels and self.ended_before is None:
            raise ValueError("say which: by labels, by ended_before, or by both")
        if self.cancel and self.ended_before is not None:
            raise ValueError("what ended before a time needs no cancelling")
        return self


class DeletionView(BaseModel):
    """The receipt: it names what was removed, and says nothing of what was in it."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    subject: str = Field(description="`job ID`, `run ID`, `batch ID`, `jobs` or `tenant`.")
    state: Literal["removing", "done"]
    removed: dict[str, int] = Field(
        description="How many of what: jobs, runs, attempts, streams, blobs, deliveries, ..."
    )
    left: int = Field(description="Pieces that are known and still there.")
    asked_by: str = Field(description="The id of the key, or who the operator is.")
    asked_at: datetime | None
    finished_at: datetime | None
