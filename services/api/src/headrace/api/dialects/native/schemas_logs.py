"""What the log of a job looks like on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.core.job import State


class LogQuery(BaseModel):
    """How much of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(500, ge=1, le=1000, description="Lines of its engines, the latest.")


class LogLineView(BaseModel):
    model_config = ConfigDict(frozen=True)

    source: Literal["job", "attempt", "engine"]
    text: str
    at: datetime | None = Field(description="null for an engine's: it stands where it was said.")
    attempt: int | None
    position: str | None = Field(description="Of an engine's line, in the job's stream.")


class JobLogView(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = Field(json_schema_extra={"format": "uuid"})
    state: State
    trace_id: str | None
    lines: list[LogLineView]
    left_out: int = Field(description="Earlier lines of its engines, beyond `limit`.")
    complete: bool = Field(
        description="false: the live stream is gone or away, and its engines may have said more."
    )
