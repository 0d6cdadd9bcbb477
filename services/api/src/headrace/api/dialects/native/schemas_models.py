"""Registered models over the wire at the native door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from headrace.api.dialects.native.schemas import UUID
from headrace.core.models import HEAVIEST, LARGEST_NUMBER, MOST_ROUTED, MOST_SAID, How

METRIC: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_CHOSEN: Final = r"^(output\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$"
_FORMAT: Final = r"^[a-z0-9][a-z0-9.-]{0,62}$"
_SHA256: Final = r"^[0-9a-f]{64}$"
Numbered: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
Value: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Weight: TypeAlias = Annotated[float, Field(gt=0, le=HEAVIEST, allow_inf_nan=False)]
Metrics: TypeAlias = dict[Annotated[str, Field(min_length=1, max_length=63)], Value]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class BlobName(_Asked):
    blob: str = Field(max_length=64, description="As `POST /blobs` answered.")


class VersionRequest(_Asked):
    artefact: BlobName
    format: str = Field(pattern=_FORMAT, examples=["sklearn-npz"])
    sha256: str | None = Field(
        None, pattern=_SHA256, description="Of its bytes: refused if they are others."
    )
    metrics: Metrics = Field(default_factory=dict, max_length=MOST_SAID)
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=MOST_SAID)
    data: str = Field("", max_length=500, description="What it was trained on.")
    job: str | None = Field(None, pattern=UUID, description="The job of yours that made it.")
    note: str = Field("", max_length=500)


class ModelRouteRequest(_Asked):
    weights: dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")], Weight] = Field(
        min_length=1,
        max_length=MOST_ROUTED,
        description="By version, of any sum.",
        examples=[{"3": 90, "4": 10}],
    )
    expect: int | None = Field(
        None, ge=1, description="The `number` of the route this one replaces; else 409."
    )


class PromoteRequest(_Asked):
    version: Numbered


class SharedRequest(_Asked):
    shared: bool = Field(description="Whether all tenants may use it.")


class FeedbackRequest(_Asked):
    name: str = Field(pattern=METRIC, examples=["rating"])
    value: Value


BODIES: Final = (
    VersionRequest,
    ModelRouteRequest,
    PromoteRequest,
    SharedRequest,
    FeedbackRequest,
)


class VersionView(_Told):
    """It never changes, but that it may be retired."""

    model: str
    version: int
    asked_as: str = Field(description="The `model` of a job that wants this version.")
    format: str
    artefact: dict[str, str] = Field(description="The blob; its owner alone can read it.")
    sha256: str
    bytes: int
    metrics: dict[str, float]
    parameters: dict[str, Any]
    data: str
    job: str | None = Field(description="The training job that made it.")
    note: str
    made_by: str
    created_at: datetime
    retired_at: datetime | None
    retired_by: str | None
    share: float = Field(description="The percent of its model's jobs that it gets now.")


class VersionsPage(_Told):
    versions: list[VersionView]
    next: int | None = Field(description="The `below` of the next page; null on the last one.")


class ModelRouteView(_Told):
    number: int
    weights: dict[str, float]
    shares: dict[str, float] = Field(description="The same in percent.")
    how: How
    restores: int | None = Field(description="The route that a roll back went to.")
    changed_by: str
    changed_at: datetime | None


class ModelRoutesPage(_Told):
    routes: list[ModelRouteView]
    next: int | None = Field(description="The `below` of the next page; null on the last one.")


class RegisteredModelView(_Told):
    name: str
    tenant: str = Field(description="Whose it is.")
    own: bool = Field(description="Whether it is yours to change.")
    shared: bool = Field(description="All tenants may use it.")
    latest: int = Field(description="The number of its newest version.")
    route: ModelRouteView
    created_at: datetime | None


class RegisteredPage(_Told):
    models: list[RegisteredModelView]
    next: str | None = Field(description="The `after` of the next page; null on the last one.")


class PerformanceQuery(BaseModel):
    """What to tell of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: list[Numbered] = Field(
        default_factory=list,
        max_length=MOST_ROUTED,
        description="None: those of the route, and the newest others.",
    )
    within_s: float = Field(86_400.0, gt=0, le=31_536_000, allow_inf_nan=False)
    metric: str | None = Field(
        None,
        pattern=_CHOSEN,
        description="The name of a feedback; or `output.NAME`, a number or a truth of the result.",
    )


class LatencyView(_Told):
    p50_s: float
    p95_s: float


class VersionFigures(_Told):
    version: int
    share: float = Field(description="The percent of its model's jobs that it gets now.")
    succeeded: int
    failed: int
    cancelled: int
    failure_rate: float | None = Field(description="Of those that were not cancelled.")
    queue: LatencyView | None = Field(description="From when it could start to when it did.")
    run: LatencyView | None = Field(description="From its first start to its end.")
    metric_mean: float | None
    metric_count: int


class VerdictView(_Told):
    of: str = Field(description="`failure_rate`, or the metric.")
    test: str
    p: float | None = Field(description="null: too few to tell.")
    differs: bool
    said: str


class ComparisonView(_Told):
    base: int = Field(description="The version that the other is compared with.")
    version: int
    verdicts: list[VerdictView]


class ModelPerformanceView(_Told):
    model: str
    since: datetime
    most: int = Field(description="Jobs of each version that are looked at: the latest ones.")
    metric: str | None
    versions: list[VersionFigures]
    comparisons: list[ComparisonView] = Field(
        description="Each other version with the one that gets most."
    )
