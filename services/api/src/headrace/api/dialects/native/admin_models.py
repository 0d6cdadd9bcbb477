"""`/admin/models`: everybody's registered models, for operators; and which of them all tenants may use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_models as told
from headrace.api.dialects.native.models import (
    Below,
    ModelName,
    Page,
    performance_of,
    versions_of,
)
from headrace.api.dialects.native.schemas_keys import TENANT
from headrace.api.dialects.native.schemas_models import (
    ModelPerformanceView,
    PerformanceQuery,
    RegisteredModelView,
    RegisteredPage,
    SharedRequest,
    VersionsPage,
)
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import TenantId
from headrace.core.errors import ModelNotFound
from headrace.core.models import Model
from headrace.core.ports.store import Transaction
from headrace.core.usecases import models as use

router = APIRouter(prefix="/admin/models", tags=["admin"])
Of = Annotated[str, Path(pattern=TENANT, description="Whose it is.")]


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": RegisteredPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_models(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    limit: Page = 50,
    after: Annotated[str, Query(max_length=130, description="Behind this `TENANT/NAME`.")] = "",
) -> Response:
    """Registered models of all tenants, by tenant and name."""
    tenant, _, name = after.partition("/")
    async with deps.store.begin() as tx:
        found = await tx.all_models(after=(tenant, name), limit=limit + 1)
    shown = [told.registered_view(each, None) for each in found[:limit]]
    more = f"{shown[-1].tenant}/{shown[-1].name}" if len(found) > limit else None
    return _json(RegisteredPage(models=shown, next=more))


@router.get(
    "/{tenant}/{name}",
    response_class=Response,
    responses={200: {"model": RegisteredModelView}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_model(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Of,
    name: ModelName,
) -> Response:
    """One model of one tenant, and its route now."""
    async with deps.store.begin() as tx:
        return _json(told.registered_view(await _own_model(tx, tenant, name), None))


@router.get(
    "/{tenant}/{name}/versions",
    response_class=Response,
    responses={200: {"model": VersionsPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_versions(  # FastAPI passes each by its name
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Of,
    name: ModelName,
    limit: Page = 50,
    below: Below = None,
) -> Response:
    """The versions of anybody's model, newest first, also those that are retired."""
    async with deps.store.begin() as tx:
        model = await _own_model(tx, tenant, name)
        return _json(await versions_of(tx, model, below=below, limit=limit))


@router.put(
    "/{tenant}/{name}",
    response_class=Response,
    responses={
        200: {"model": RegisteredModelView},
        **documents.problems(403, 404, 408, 409, 413, 415, 422),
    },
    openapi_extra=documents.json_body("SharedRequest"),
)
async def share_model(
    request: Request, deps: Deps, who: Operator, tenant: Of, name: ModelName
) -> Response:
    """Let all tenants use it, or its owner alone; 409 while another of that name is shared. Audited."""
    body = await read_json(request, deps.limits)
    try:
        asked = SharedRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    async with deps.store.begin() as tx:
        model = await use.share(tx, TenantId(tenant), name, shared=asked.shared, who=who)
    return _json(told.registered_view(model, None))


@router.get(
    "/{tenant}/{name}/performance",
    response_class=Response,
    responses={200: {"model": ModelPerformanceView}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_performance(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Of,
    name: ModelName,
    asked: Annotated[PerformanceQuery, Query()],
) -> Response:
    """How the versions of anybody's model do."""
    async with deps.store.begin() as tx:
        model = await _own_model(tx, tenant, name)
        return _json(await performance_of(tx, model, asked))


async def _own_model(tx: Transaction, tenant: str, name: str) -> Model:
    """Not one that another shares with this tenant. Raises ModelNotFound."""
    model = await tx.model(TenantId(tenant), name)
    if model is None or model.tenant != tenant:
        raise ModelNotFound(name)
    return model


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
