"""The rollout over the wire: what holds, who applies it, how both paths do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from headrace.core.rollout import MOST_NAMES

PathName: TypeAlias = Literal["local", "distributed"]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class GuardRequest(_Asked):
    """What is left out stays."""

    on: bool | None = None
    window_s: float | None = Field(None, ge=5, le=86_400)
    at_least: int | None = Field(None, ge=1, le=1000, description="Jobs of a kind on each path.")
    errors_over: float | None = Field(
        None, ge=0, le=1, description="The share that fails may be higher by this."
    )
    slower_by: float | None = Field(
        None, ge=0, le=100, description="1: waiting and running may take twice as long."
    )


class RolloutRequest(_Asked):
    """What is left out stays."""

    internal: list[Name] | None = Field(
        None, max_length=MOST_NAMES, description="Tenants that take the distributed path anyway."
    )
    percent: Percent | None = Field(None, description="Of tenants, by a hash of their names.")
    kinds: dict[Name, PathName] | None = Field(None, max_length=MOST_NAMES)
    shadow_percent: Percent | None = Field(
        None, description="Of jobs: these run on the other path too, unseen."
    )
    guard: GuardRequest | None = None
    expect_version: int | None = Field(None, ge=0, le=2**31 - 1)


class GuardView(_Told):
    on: bool
    window_s: float
    at_least: int
    errors_over: float
    slower_by: float


class TrippedView(_Told):
    at: datetime
    why: str
    percent: float


class PathLookView(_Told):
    """Within the guard's window; times of those that ended, failures among all but the cancelled."""

    path: PathName
    attended: bool
    submitted: int
    running: int
    ended: int
    failed: int
    error_rate: float | None
    wait_p50_s: float | None
    wait_p95_s: float | None
    run_p50_s: float | None
    run_p95_s: float | None


class ReplicaView(_Told):
    replica: str
    version: int
    seen_at: datetime


class ShadowView(_Told):
    job: str
    shadow: str
    kind: str
    same: bool
    diff: dict[str, JsonValue]
    at: datetime


class ShadowsView(_Told):
    compared: int
    same: int
    different: int
    latest: list[ShadowView]


class RolloutView(_Told):
    version: int
    source: Literal["default", "stored", "environment"]
    fixed_by: list[str]
    stage: str
    internal: list[str]
    percent: float
    kinds: dict[str, PathName]
    shadow_percent: float
    guard: GuardView
    changed_at: datetime | None
    changed_by: str | None
    tripped: TrippedView | None
    paths: list[PathLookView]
    replicas: list[ReplicaView]
    shadows: ShadowsView
