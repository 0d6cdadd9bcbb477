"""`/admin/keys` and `/admin/whoami`: which keys there are, new ones, and what the one you show is good for."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.auth import HINT_CHARACTERS, digest_of, new_key
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.schemas_keys import (
    TENANT,
    KeyRequest,
    KeysPage,
    KeyView,
    NewKeyView,
    WhoAmIView,
)
from headrace.api.dialects.native.translate import read_cursor, write_cursor
from headrace.api.operators import Named, Operator, Reader, authority_of
from headrace.api.problems import invalid
from headrace.contracts.ids import KeyId, TenantId
from headrace.core.errors import KeyNotFound
from headrace.core.ports.keys import ApiKey, Scope
from headrace.core.usecases.keys import create_key, revoke_key

router = APIRouter(prefix="/admin", tags=["admin"])


async def _key_id(key: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> KeyId:
    found = uuid_or_none(key)
    if found is None:
        raise KeyNotFound(key[:64])
    return KeyId(found)


KeyInPath: TypeAlias = Annotated[KeyId, Depends(_key_id)]


@router.get("/whoami", responses={200: {"model": WhoAmIView}, **documents.problems(422)})
async def who_am_i(request: Request, deps: Deps, named: Named) -> WhoAmIView:
    """What the key that you show is good for, whatever that is."""
    found = await authority_of(request.headers, deps, named)
    return WhoAmIView(
        tenant=found.tenant,
        scopes=sorted(found.scopes),
        may_read=found.may(Scope.ADMIN_READ),
        may_change=found.may(Scope.ADMIN),
        who=found.who,
    )


@router.get(
    "/keys",
    response_class=Response,
    responses={200: {"model": KeysPage}, **documents.problems(404, 422)},
)
async def list_keys(  # what narrows a list, each by its name
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Annotated[str | None, Query(pattern=TENANT)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Keys of the store, newest first, also those that are revoked or have expired."""
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    older = None if before is None else (before[0], KeyId(before[1]))
    owner = None if tenant is None else TenantId(tenant)
    async with deps.store.begin() as tx:
        found = await tx.keys(owner, before=older, limit=limit + 1)
    shown = found[:limit]
    more = write_cursor(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
    return _json(KeysPage(keys=[_view(each) for each in shown], next=more))


@router.post(
    "/keys",
    status_code=201,
    response_class=Response,
    responses={201: {"model": NewKeyView}, **documents.problems(404, 408, 413, 415, 422)},
    openapi_extra=documents.json_body("KeyRequest"),
)
async def make_key(request: Request, deps: Deps, who: Operator) -> Response:
    """A new key, shown this once. There is no Idempotency-Key: the answer would have to be kept."""
    body = await read_json(request, deps.limits)
    try:
        asked = KeyRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    secret = new_key()
    key = ApiKey(
        id=KeyId(deps.new_id()),
        tenant=TenantId(asked.tenant),
        name=asked.name,
        scopes=frozenset(asked.scopes),
        hint=secret[:HINT_CHARACTERS],
        expires_at=asked.expires_at,
    )
    async with deps.store.begin() as tx:
        if key.expires_at is not None and key.expires_at <= await tx.now():
            raise invalid([{"pointer": "/expires_at", "detail": "this time has passed"}])
        made = await create_key(tx, key, digest_of(secret), who=who)
    view = NewKeyView(**_view(made).model_dump(), key=secret)
    return _json(view, 201, {"Cache-Control": "no-store"})


@router.post(
    "/keys/{key}/revoke",
    response_class=Response,
    responses={200: {"model": KeyView}, **documents.problems(404, 422)},
)
async def revoke(deps: Deps, who: Operator, key: KeyInPath) -> Response:
    """For ever, and everywhere within a second or two. Asking again changes nothing."""
    async with deps.store.begin() as tx:
        found = await revoke_key(tx, key, who=who)
    return _json(_view(found))


def _view(key: ApiKey) -> KeyView:
    return KeyView.model_validate(
        {
            "id": key.id,
            "tenant": key.tenant,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "last_used_at": key.last_used_at,
            "hint": key.hint,
        }
    )


def _json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
