"""`/admin/webhooks`: everybody's webhooks and calls, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_webhooks as told
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import OPERATORS, answer, answered, question_of
from headrace.api.dialects.native.schemas_webhooks import (
    AnybodysDeliveriesPage,
    AnybodysDeliveriesQuery,
    AnybodysDeliveryDetail,
    AnybodysDeliveryView,
    AnybodysEndpointsPage,
)
from headrace.api.dialects.native.translate import read_cursor
from headrace.api.dialects.native.webhooks import CallInPath
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import EndpointId, TenantId
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import webhooks as use

router = APIRouter(prefix="/admin/webhooks", tags=["admin"])


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": AnybodysEndpointsPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_webhooks(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Webhooks of all tenants or one, newest first, and which of them fail or are disabled."""
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise _no_cursor() from error
    older = None if before is None else (before[0], EndpointId(before[1]))
    owner = None if tenant is None else TenantId(tenant)
    async with deps.store.begin() as tx:
        found = await tx.endpoints(owner, before=older, limit=limit + 1)
    views = [told.anybodys_endpoint_view(each) for each in found[:limit]]
    return _json(AnybodysEndpointsPage(webhooks=views, next=told.next_of(found, limit)))


@router.get(
    "/deliveries",
    response_class=Response,
    responses={200: {"model": AnybodysDeliveriesPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_deliveries(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    asked: Annotated[AnybodysDeliveriesQuery, Query()],
) -> Response:
    """Calls about anybody's jobs, newest first."""
    try:
        wanted = told.of_anybody(asked)
    except ValueError as error:
        raise _no_cursor() from error
    async with deps.store.begin() as tx:
        found = await tx.calls(wanted)
    views = [told.anybodys_delivery_view(each) for each in found[: asked.limit]]
    return _json(AnybodysDeliveriesPage(deliveries=views, next=told.next_of(found, asked.limit)))


@router.get(
    "/deliveries/{delivery}",
    response_class=Response,
    responses={200: {"model": AnybodysDeliveryDetail}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_delivery(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    delivery: CallInPath,
) -> Response:
    """One call: what is sent, and what came of its tries."""
    async with deps.store.begin() as tx:
        return _json(told.anybodys_delivery_detail(await use.find_call(tx, None, delivery)))


@router.post(
    "/deliveries/{delivery}/redeliver",
    response_class=Response,
    responses={
        200: {"model": AnybodysDeliveryView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(403, 404, 409, 422),
    },
)
async def redeliver_anybodys(
    request: Request, deps: Deps, who: Operator, delivery: CallInPath, key: IdempotencyHeader = None
) -> Response:
    """Make it once more, now, under the same `webhook-id`. Audited."""

    async def do(tx: Transaction) -> Answer:
        again = await use.redeliver(tx, None, delivery, who=who)
        return answer(told.anybodys_delivery_view(again))

    return await answered(deps, question_of(request, OPERATORS, key), do)


def _no_cursor() -> Exception:
    return wrong_parameter("cursor", "this is no cursor of ours")


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
