"""What goes over the wire about uploads, and about blobs that a result names."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class UploadView(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    length: int
    received: int = Field(description="Go on here.")
    media_type: str
    expires_at: datetime | None = Field(description="Unless more comes before.")
    blob: str | None = Field(description="Once all of it is there: for a job's input.")
    sha256: str | None = Field(description="Of the whole, in hex, once it is a blob.")
