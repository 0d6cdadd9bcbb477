"""`/models`: what can be run, which versions of what are registered, and which of them jobs get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Final, TypeAlias, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.auth import Caller
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Keeper, Owner, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_models as told
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.repeating import NOTHING, answer, answered, question_of
from headrace.api.dialects.native.schemas import ModelView
from headrace.api.dialects.native.schemas_models import (
    FeedbackRequest,
    ModelPerformanceView,
    ModelRouteRequest,
    ModelRoutesPage,
    PerformanceQuery,
    PromoteRequest,
    RegisteredModelView,
    RegisteredPage,
    VersionRequest,
    VersionsPage,
    VersionView,
)
from headrace.api.operators import name_of
from headrace.contracts.ids import BlobId
from headrace.core.errors import BadModel, ModelNotFound
from headrace.core.models import LARGEST_NUMBER, NAME, Model
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import models as use
from headrace.core.usecases.model_looks import MOST_LOOKED_AT, Look, look, what_can_be_run

_Asked = TypeVar("_Asked", bound=BaseModel)
router = APIRouter(tags=["models"])
ModelName: TypeAlias = Annotated[str, Path(pattern=rf"^{NAME}$", description="The model's name.")]
Number: TypeAlias = Annotated[int, Path(ge=1, le=LARGEST_NUMBER)]
Page: TypeAlias = Annotated[int, Query(ge=1, le=200)]
Below: TypeAlias = Annotated[
    int | None, Query(ge=1, le=LARGEST_NUMBER, description="`next` of the page before.")
]
_MODEL: Final = {"model": RegisteredModelView, "headers": documents.REPLAYED_HEADER}
_CHANGES: Final = documents.problems(404, 408, 409, 413, 415, 422)


@router.get("/models", responses={200: {"model": list[ModelView]}, **documents.problems()})
async def list_models(deps: Deps, tenant: Tenant) -> list[ModelView]:
    """What can be run, and the schema of its input."""
    async with deps.store.begin() as tx:
        return [told.model_view(each) for each in await what_can_be_run(tx, tenant)]


@router.get(
    "/models/registered",
    response_class=Response,
    responses={200: {"model": RegisteredPage}, **documents.problems(422)},
)
async def list_registered(
    deps: Deps,
    tenant: Tenant,
    limit: Page = 50,
    after: Annotated[str, Query(max_length=64, description="Names behind this one.")] = "",
) -> Response:
    """Registered models that you may use, by name: your own, and those that are shared."""
    async with deps.store.begin() as tx:
        found = await tx.models(tenant, after=after, limit=limit + 1)
    shown = [told.registered_view(each, tenant) for each in found[:limit]]
    more = shown[-1].name if len(found) > limit else None
    return _json(RegisteredPage(models=shown, next=more))


@router.get(
    "/models/{name}",
    response_class=Response,
    responses={200: {"model": RegisteredModelView}, **documents.problems(404, 422)},
)
async def get_registered(deps: Deps, tenant: Tenant, name: ModelName) -> Response:
    """A registered model, and the route that holds."""
    async with deps.store.begin() as tx:
        return _json(told.registered_view(await use.find_model(tx, tenant, name), tenant))


@router.post(
    "/models/{name}/versions",
    status_code=201,
    response_class=Response,
    responses={
        201: {"model": VersionView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(404, 408, 413, 415, 422),
    },
    openapi_extra=documents.json_body("VersionRequest"),
)
async def register_version(
    request: Request, deps: Deps, caller: Keeper, name: ModelName, key: IdempotencyHeader = None
) -> Response:
    """Register a blob as the next version. The first one is routed at once, later ones are not."""
    asked, body = await _read(request, deps, VersionRequest)
    tenant = caller.tenant
    artefact = await use.weigh(deps.blobs, tenant, BlobId(asked.artefact.blob), asked.format)
    if asked.sha256 not in {None, artefact.sha256}:
        raise BadModel("/sha256", f"the blob's bytes have the SHA-256 {artefact.sha256}")
    new = told.new_version(asked, tenant, name, artefact, who=name_of(caller))

    async def do(tx: Transaction) -> Answer:
        made = await use.register(tx, new)
        model = await use.find_model(tx, tenant, name)
        return answer(told.version_view(made, model), 201)

    return await answered(deps, question_of(request, tenant, key, body), do)


@router.get(
    "/models/{name}/versions",
    response_class=Response,
    responses={200: {"model": VersionsPage}, **documents.problems(404, 422)},
)
async def list_versions(
    deps: Deps, tenant: Tenant, name: ModelName, limit: Page = 50, below: Below = None
) -> Response:
    """Newest first, also those that are retired."""
    async with deps.store.begin() as tx:
        model = await use.find_model(tx, tenant, name)
        return _json(await versions_of(tx, model, below=below, limit=limit))


@router.get(
    "/models/{name}/versions/{version}",
    response_class=Response,
    responses={200: {"model": VersionView}, **documents.problems(404, 422)},
)
async def get_version(deps: Deps, tenant: Tenant, name: ModelName, version: Number) -> Response:
    """One version, and what made it."""
    async with deps.store.begin() as tx:
        model = await use.find_model(tx, tenant, name)
        return _json(told.version_view(await use.find_version(tx, model, version), model))


@router.delete(
    "/models/{name}/versions/{version}",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "Nobody gets it any more; jobs that have it already keep it."},
        **documents.problems(404, 409, 422),
    },
)
async def retire_version(deps: Deps, caller: Keeper, name: ModelName, version: Number) -> Response:
    """Retire it for ever: 409 while the route names it, or the one that a roll back would go to."""
    async with deps.store.begin() as tx:
        await use.retire(tx, caller.tenant, name, version, who=name_of(caller))
    return Response(status_code=204)


@router.post(
    "/models/{name}/route",
    response_class=Response,
    responses={200: _MODEL, **_CHANGES},
    openapi_extra=documents.json_body("ModelRouteRequest"),
)
async def route_model(
    request: Request, deps: Deps, caller: Keeper, name: ModelName, key: IdempotencyHeader = None
) -> Response:
    """Share its jobs out between versions. The next job follows it."""
    asked, body = await _read(request, deps, ModelRouteRequest)
    weights = {int(number): weight for number, weight in asked.weights.items()}

    async def change(tx: Transaction, who: str) -> Model:
        return await use.route(tx, caller.tenant, name, weights, who=who, expect=asked.expect)

    return await _changed(request, deps, caller, key, body, change)


@router.post(
    "/models/{name}/promote",
    response_class=Response,
    responses={200: _MODEL, **_CHANGES},
    openapi_extra=documents.json_body("PromoteRequest"),
)
async def promote_version(
    request: Request, deps: Deps, caller: Keeper, name: ModelName, key: IdempotencyHeader = None
) -> Response:
    """All of its jobs to one version."""
    asked, body = await _read(request, deps, PromoteRequest)

    async def change(tx: Transaction, who: str) -> Model:
        return await use.promote(tx, caller.tenant, name, asked.version, who=who)

    return await _changed(request, deps, caller, key, body, change)


@router.post(
    "/models/{name}/rollback",
    response_class=Response,
    responses={200: _MODEL, **documents.problems(404, 409, 422)},
)
async def roll_back_model(
    request: Request, deps: Deps, caller: Keeper, name: ModelName, key: IdempotencyHeader = None
) -> Response:
    """To the route that held before this one; again, to the one before that."""

    async def change(tx: Transaction, who: str) -> Model:
        return await use.roll_back(tx, caller.tenant, name, who=who)

    return await _changed(request, deps, caller, key, b"null", change)


@router.get(
    "/models/{name}/routes",
    response_class=Response,
    responses={200: {"model": ModelRoutesPage}, **documents.problems(404, 422)},
)
async def list_routes(
    deps: Deps, tenant: Tenant, name: ModelName, limit: Page = 50, below: Below = None
) -> Response:
    """Every route it had, newest first: who changed it and when."""
    async with deps.store.begin() as tx:
        model = await use.find_model(tx, tenant, name)
        found = await tx.routes(model.tenant, name, below=below, limit=limit + 1)
    shown = [told.route_view(each) for each in found[:limit]]
    more = shown[-1].number if len(found) > limit else None
    return _json(ModelRoutesPage(routes=shown, next=more))


@router.get(
    "/models/{name}/performance",
    response_class=Response,
    responses={200: {"model": ModelPerformanceView}, **documents.problems(404, 422)},
)
async def get_performance(
    deps: Deps, tenant: Tenant, name: ModelName, asked: Annotated[PerformanceQuery, Query()]
) -> Response:
    """How the versions of a model of yours do, beside each other; of a shared one its owner alone is told."""
    async with deps.store.begin() as tx:
        model = await use.find_model(tx, tenant, name)
        if model.tenant != tenant:
            raise ModelNotFound(name)
        return _json(await performance_of(tx, model, asked))


@router.post(
    "/jobs/{job}/feedback",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Noted."}, **documents.problems(404, 408, 413, 415, 422)},
    openapi_extra=documents.json_body("FeedbackRequest"),
)
async def give_feedback(
    request: Request, deps: Deps, tenant: Owner, job: JobInPath, key: IdempotencyHeader = None
) -> Response:
    """Say how good its result is, in a number of your own; the latest word of a name counts."""
    asked, body = await _read(request, deps, FeedbackRequest)

    async def do(tx: Transaction) -> Answer:
        await use.give_feedback(tx, tenant, job, asked.name, asked.value)
        return NOTHING

    return await answered(deps, question_of(request, tenant, key, body), do)


async def versions_of(
    tx: Transaction, model: Model, *, below: int | None, limit: int
) -> VersionsPage:
    found = await tx.versions(model.tenant, model.name, below=below, limit=limit + 1)
    shown = [told.version_view(each, model) for each in found[:limit]]
    more = shown[-1].version if len(found) > limit else None
    return VersionsPage(versions=shown, next=more)


async def performance_of(
    tx: Transaction, model: Model, asked: PerformanceQuery
) -> ModelPerformanceView:
    within = timedelta(seconds=asked.within_s)
    found: Look = await look(tx, model, asked.version, within=within, metric=asked.metric)
    return told.performance_view(
        model, found.found, metric=asked.metric, since=found.since, most=MOST_LOOKED_AT
    )


async def _changed(  # what is changed, and by whom
    request: Request,
    deps: ApiDeps,
    caller: Caller,
    key: str | None,
    body: bytes,
    change: Callable[[Transaction, str], Awaitable[Model]],
) -> Response:
    async def do(tx: Transaction) -> Answer:
        model = await change(tx, name_of(caller))
        return answer(told.registered_view(model, caller.tenant))

    return await answered(deps, question_of(request, caller.tenant, key, body), do)


async def _read(request: Request, deps: ApiDeps, wanted: type[_Asked]) -> tuple[_Asked, bytes]:
    body = await read_json(request, deps.limits)
    try:
        return wanted.model_validate_json(body), body
    except ValidationError as error:
        raise wrong_body(error) from error


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
