"""Registered models between the door's words and the core's: pure, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.api.dialects.native import schemas_models as schemas
from headrace.api.dialects.native.schemas import ModelView
from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import Artefact
from headrace.core.model_performance import (
    Latency,
    Performance,
    Verdict,
    compare_failures,
    compare_means,
)
from headrace.core.models import Model, NewVersion, Route, Version
from headrace.core.usecases.model_looks import Runnable


def model_view(found: Runnable) -> ModelView:
    """Which lane serves it is nobody's business outside."""
    return ModelView(
        kind=found.card.kind,
        model=found.model,
        title=found.card.title,
        input_schema=found.card.input_schema,
        registered=found.registered,
    )


def new_version(
    asked: schemas.VersionRequest, tenant: TenantId, name: str, artefact: Artefact, *, who: str
) -> NewVersion:
    return NewVersion(
        tenant=tenant,
        name=name,
        artefact=artefact,
        metrics=asked.metrics,
        parameters=asked.parameters,
        data=asked.data,
        job=None if asked.job is None else JobId(asked.job),
        note=asked.note,
        made_by=who,
    )


def registered_view(model: Model, tenant: TenantId | None) -> schemas.RegisteredModelView:
    return schemas.RegisteredModelView(
        name=model.name,
        tenant=model.tenant,
        own=model.tenant == tenant,
        shared=model.shared_at is not None,
        latest=model.latest,
        route=route_view(model.route),
        created_at=model.created_at,
    )


def route_view(route: Route) -> schemas.ModelRouteView:
    return schemas.ModelRouteView(
        number=route.number,
        weights={str(number): weight for number, weight in route.weights.items()},
        shares={str(number): share for number, share in route.shares.items()},
        how=route.how,
        restores=route.restores,
        changed_by=route.changed_by,
        changed_at=route.changed_at,
    )


def version_view(version: Version, model: Model) -> schemas.VersionView:
    return schemas.VersionView(
        model=version.name,
        version=version.number,
        asked_as=version.asked_as,
        format=version.artefact.format,
        artefact={"blob": version.artefact.blob},
        sha256=version.artefact.sha256,
        bytes=version.artefact.bytes,
        metrics=dict(version.metrics),
        parameters=dict(version.parameters),
        data=version.data,
        job=version.job,
        note=version.note,
        made_by=version.made_by,
        created_at=version.created_at,
        retired_at=version.retired_at,
        retired_by=version.retired_by,
        share=model.route.shares.get(version.number, 0.0),
    )


def performance_view(
    model: Model,
    found: Sequence[Performance],
    *,
    metric: str | None,
    since: datetime,
    most: int,
) -> schemas.ModelPerformanceView:
    shares = model.route.shares
    base = max(found, key=lambda each: shares.get(each.version, 0.0), default=None)
    return schemas.ModelPerformanceView(
        model=model.name,
        since=since,
        most=most,
        metric=metric,
        versions=[_figures(each, shares.get(each.version, 0.0)) for each in found],
        comparisons=[
            _comparison(base, each, metric)
            for each in found
            if base is not None and each is not base
        ],
    )


def _figures(found: Performance, share: float) -> schemas.VersionFigures:
    return schemas.VersionFigures(
        version=found.version,
        share=share,
        succeeded=found.succeeded,
        failed=found.failed,
        cancelled=found.cancelled,
        failure_rate=found.failure_rate,
        queue=_latency(found.queue),
        run=_latency(found.run),
        metric_mean=found.mean,
        metric_count=len(found.values),
    )


def _latency(found: Latency | None) -> schemas.LatencyView | None:
    return None if found is None else schemas.LatencyView(p50_s=found.p50, p95_s=found.p95)


def _comparison(
    base: Performance, other: Performance, metric: str | None
) -> schemas.ComparisonView:
    verdicts = [_verdict("failure_rate", compare_failures(base, other))]
    if metric is not None:
        verdicts.append(_verdict(metric, compare_means(base, other)))
    return schemas.ComparisonView(base=base.version, version=other.version, verdicts=verdicts)


def _verdict(of: str, found: Verdict) -> schemas.VerdictView:
    return schemas.VerdictView(
        of=of, test=found.test, p=found.p, differs=found.differs, said=found.said
    )
