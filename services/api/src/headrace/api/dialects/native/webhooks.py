"""`/webhooks`: who is called when something becomes of a tenant's jobs, and what came of each call."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_webhooks as told
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import answer, answered, question_of
from headrace.api.dialects.native.schemas_webhooks import (
    DeliveriesPage,
    DeliveriesQuery,
    DeliveryDetail,
    DeliveryView,
    EndpointChange,
    EndpointRequest,
    EndpointsPage,
    EndpointView,
    NewEndpointView,
    SecretView,
)
from headrace.contracts.ids import CallId, EndpointId
from headrace.core.errors import CallNotFound, EndpointNotFound
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.ports.webhooks import OF_JOBS, Endpoint
from headrace.core.usecases import webhooks as use
from headrace.core.webhooks import check_url

_Asked = TypeVar("_Asked", bound=BaseModel)
_NO_STORE = {"Cache-Control": "no-store"}
router = APIRouter(prefix="/webhooks", tags=["webhooks"])


async def _endpoint_id(
    webhook: Annotated[str, Path(json_schema_extra={"format": "uuid"})],
) -> EndpointId:
    found = uuid_or_none(webhook)
    if found is None:
        raise EndpointNotFound(webhook[:64])
    return EndpointId(found)


async def _signed_as(webhook: Annotated[str, Path(description="An id, or `jobs`.")]) -> EndpointId:
    return OF_JOBS if webhook == OF_JOBS else await _endpoint_id(webhook)


async def call_id(delivery: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> CallId:
    found = uuid_or_none(delivery)
    if found is None:
        raise CallNotFound(delivery[:64])
    return CallId(found)


EndpointInPath: TypeAlias = Annotated[EndpointId, Depends(_endpoint_id)]
SignedAs: TypeAlias = Annotated[EndpointId, Depends(_signed_as)]
CallInPath: TypeAlias = Annotated[CallId, Depends(call_id)]
_CHANGES = documents.problems(404, 408, 413, 415, 422)


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={201: {"model": NewEndpointView}, **documents.problems(408, 409, 413, 415, 422)},
    openapi_extra=documents.json_body("EndpointRequest"),
)
async def create_webhook(request: Request, deps: Deps, tenant: Owner) -> Response:
    """Be called about every job of yours. The answer has the secret, so there is no Idempotency-Key."""
    asked = await _read(request, deps, EndpointRequest)
    check_url(asked.url, deps.reach, pointer="/url")
    endpoint = Endpoint(
        id=EndpointId(deps.new_id()),
        tenant=tenant,
        url=asked.url,
        events=tuple(asked.events),
        note=asked.note,
    )
    async with deps.store.begin() as tx:
        made = await use.create_endpoint(tx, endpoint, deps.new_secret)
        signing = await tx.signing(tenant, made.id, deps.new_secret)
    return _json(told.new_endpoint_view(made, signing), 201, _NO_STORE)


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": EndpointsPage}, **documents.problems(422)},
)
async def list_webhooks(deps: Deps, tenant: Tenant) -> Response:
    """All of yours, newest first: twenty are the most."""
    async with deps.store.begin() as tx:
        found = await tx.endpoints(tenant, before=None, limit=use.MOST_ENDPOINTS)
    return _json(EndpointsPage(webhooks=[told.endpoint_view(each) for each in found]))


@router.get(
    "/deliveries",
    response_class=Response,
    responses={200: {"model": DeliveriesPage}, **documents.problems(422)},
)
async def list_deliveries(
    deps: Deps, tenant: Tenant, asked: Annotated[DeliveriesQuery, Query()]
) -> Response:
    """Calls about your jobs, newest first: what waits, arrived or was given up."""
    try:
        wanted = told.query(asked, tenant)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    async with deps.store.begin() as tx:
        found = await tx.calls(wanted)
    views = [told.delivery_view(each) for each in found[: asked.limit]]
    return _json(DeliveriesPage(deliveries=views, next=told.next_of(found, asked.limit)))


@router.get(
    "/deliveries/{delivery}",
    response_class=Response,
    responses={200: {"model": DeliveryDetail}, **documents.problems(404, 422)},
)
async def get_delivery(deps: Deps, tenant: Tenant, delivery: CallInPath) -> Response:
    """One call: what is sent, and what came of its tries."""
    async with deps.store.begin() as tx:
        return _json(told.delivery_detail(await use.find_call(tx, tenant, delivery)))


@router.post(
    "/deliveries/{delivery}/redeliver",
    response_class=Response,
    responses={
        200: {"model": DeliveryView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(404, 409, 422),
    },
)
async def redeliver(
    request: Request, deps: Deps, tenant: Owner, delivery: CallInPath, key: IdempotencyHeader = None
) -> Response:
    """Make it once more, now, under the same `webhook-id`."""

    async def do(tx: Transaction) -> Answer:
        return answer(told.delivery_view(await use.redeliver(tx, tenant, delivery)))

    return await answered(deps, question_of(request, tenant, key), do)


@router.get(
    "/{webhook}",
    response_class=Response,
    responses={200: {"model": EndpointView}, **documents.problems(404, 422)},
)
async def get_webhook(deps: Deps, tenant: Tenant, webhook: EndpointInPath) -> Response:
    """One of yours."""
    async with deps.store.begin() as tx:
        return _json(told.endpoint_view(await use.find_endpoint(tx, tenant, webhook)))


@router.patch(
    "/{webhook}",
    response_class=Response,
    responses={200: {"model": EndpointView}, **_CHANGES},
    openapi_extra=documents.json_body("EndpointChange"),
)
async def change_webhook(
    request: Request, deps: Deps, tenant: Owner, webhook: EndpointInPath
) -> Response:
    """Change its address or events, disable it, or enable it again. What waits goes to the new address."""
    asked = await _read(request, deps, EndpointChange)
    if asked.url is not None:
        check_url(asked.url, deps.reach, pointer="/url")
    wish = use.Wish(
        url=asked.url,
        events=None if asked.events is None else tuple(asked.events),
        note=asked.note,
        enabled=asked.enabled,
    )
    async with deps.store.begin() as tx:
        changed = await use.change_endpoint(tx, tenant, webhook, wish)
    return _json(told.endpoint_view(changed))


@router.delete(
    "/{webhook}",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "Gone; what waited for it is given up."},
        **documents.problems(404, 422),
    },
)
async def delete_webhook(deps: Deps, tenant: Owner, webhook: EndpointInPath) -> Response:
    """Call it no more. Its deliveries stay in the log."""
    async with deps.store.begin() as tx:
        await use.delete_endpoint(tx, tenant, webhook)
    return Response(status_code=204)


@router.get(
    "/{webhook}/secret",
    response_class=Response,
    responses={200: {"model": SecretView}, **documents.problems(404, 422)},
)
async def get_secret(deps: Deps, tenant: Owner, webhook: SignedAs) -> Response:
    """What its calls are signed with. `/webhooks/jobs/secret` is that of addresses that jobs name."""
    async with deps.store.begin() as tx:
        found = await use.signing_of(tx, tenant, webhook, deps.new_secret)
    return _json(told.secret_view(found), headers=_NO_STORE)


@router.post(
    "/{webhook}/secret/rotate",
    response_class=Response,
    responses={200: {"model": SecretView}, **documents.problems(404, 422)},
)
async def rotate_secret(deps: Deps, tenant: Owner, webhook: SignedAs) -> Response:
    """A new secret; the one before signs beside it for a day."""
    async with deps.store.begin() as tx:
        turned = await use.turn_key(tx, tenant, webhook, deps.new_secret)
    return _json(told.secret_view(turned), headers=_NO_STORE)


async def _read(request: Request, deps: ApiDeps, wanted: type[_Asked]) -> _Asked:
    body = await read_json(request, deps.limits)
    try:
        return wanted.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error


def _json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
