"""Workers, as this door lists them and lets their owners change them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.api.dialects.horde.forms import Told


class WorkerKudosView(Told):
    generated: float
    uptime: float


class RemoteWorkerView(Told):
    type: str
    name: str
    id: str
    online: bool
    requests_fulfilled: int
    uncompleted_jobs: int
    kudos_rewards: float
    kudos_details: WorkerKudosView
    performance: str
    threads: int
    uptime: int
    maintenance_mode: bool
    paused: bool | None = None
    info: str | None = None
    nsfw: bool
    trusted: bool
    owner: str | None = None
    bridge_agent: str
    models: list[str] | None = None
    forms: list[str] | None = None
    max_pixels: int | None = None
    img2img: bool | None = None
    painting: bool | None = None
    post_processing: Annotated[bool | None, Field(serialization_alias="post-processing")] = None
    lora: bool | None = None
    max_length: int | None = None
    max_context_length: int | None = None


class WorkerChangedView(Told):
    maintenance: bool | None = None
    paused: bool | None = None
    info: str | None = None
    name: str | None = None
    team: str | None = None


class WorkerDeletedView(Told):
    deleted_id: str
    deleted_name: str
