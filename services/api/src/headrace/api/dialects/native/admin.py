"""What operators do: hold lanes back, and say what each tenant gets."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.schemas import TermsRequest, TermsView
from headrace.api.dialects.native.schemas_admin import LanesView, LaneView
from headrace.api.dialects.native.schemas_keys import (
    MOST_COUNTED,
    TENANT,
    StandingView,
    TenantsPage,
)
from headrace.api.dialects.native.translate_admin import lane_view
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import Lane, TenantId
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Terms
from headrace.core.usecases import pause
from headrace.core.usecases.lanes import lanes

_NAME = Path(pattern=TENANT)
LaneInPath: TypeAlias = Annotated[str, _NAME]
TenantInPath: TypeAlias = Annotated[str, _NAME]


router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/lanes", responses={200: {"model": LanesView}, **documents.problems(403, 404, 422)})
async def list_lanes(deps: Deps, who: Reader) -> LanesView:  # noqa: ARG001  # the key is needed
    """Every lane: what waits in it and for how long, since when it is paused, and who serves it."""
    return LanesView(lanes=[lane_view(lane) for lane in await lanes(deps.store)])


@router.post(
    "/lanes/{lane}/pause",
    responses={200: {"model": LaneView}, **documents.problems(403, 404, 422)},
)
async def pause_lane(deps: Deps, who: Operator, lane: LaneInPath) -> LaneView:
    """Start nothing more of this lane; what runs goes on. Asking again changes nothing."""
    since = await pause.pause(deps.store, Lane(lane), who=who)
    return LaneView(lane=lane, paused_since=since)


@router.post(
    "/lanes/{lane}/resume",
    responses={200: {"model": LaneView}, **documents.problems(403, 404, 422)},
)
async def resume_lane(deps: Deps, who: Operator, lane: LaneInPath) -> LaneView:
    """Let it go on."""
    await pause.resume(deps.store, Lane(lane), who=who)
    return LaneView(lane=lane, paused_since=None)


@router.get("/tenants", responses={200: {"model": TenantsPage}, **documents.problems(404, 422)})
async def list_tenants(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    after: Annotated[str, Query(max_length=64, description="Names behind this one.")] = "",
) -> TenantsPage:
    """By name: who has terms, a key, or a job that has not ended."""
    async with deps.store.begin() as tx:
        found = await tx.standings(
            besides=deps.auth.tenants, after=after, limit=limit + 1, at_most=MOST_COUNTED
        )
    views = [StandingView(**asdict(each)) for each in found[:limit]]
    return TenantsPage(tenants=views, next=views[-1].tenant if len(found) > limit else None)


@router.get(
    "/tenants/{tenant}",
    responses={200: {"model": TermsView}, **documents.problems(403, 404, 422)},
)
async def get_terms(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: TenantInPath,
) -> TermsView:
    """What a tenant gets and may take; the usual, unless something else was set."""
    async with deps.store.begin() as tx:
        terms = await tx.terms(TenantId(tenant))
    return TermsView(tenant=tenant, **asdict(terms))


@router.put(
    "/tenants/{tenant}",
    response_class=Response,
    responses={200: {"model": TermsView}, **documents.problems(403, 404, 408, 413, 415, 422)},
    openapi_extra=documents.json_body("TermsRequest"),
)
async def set_terms(request: Request, deps: Deps, who: Operator, tenant: TenantInPath) -> Response:
    """Set what a tenant gets and may take, all of it: what is left out is as usual again."""
    body = await read_json(request, deps.limits)
    try:
        asked = TermsRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    async with deps.store.begin() as tx:
        await tx.set_terms(TenantId(tenant), Terms(**asked.model_dump()))
        await tx.audit([Deed(who, "tenant.terms", tenant, asked.model_dump())])
    view = TermsView(tenant=tenant, **asked.model_dump())
    return Response(view.model_dump_json(), media_type="application/json")
