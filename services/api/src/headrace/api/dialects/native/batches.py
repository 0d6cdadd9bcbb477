"""`/batches`: thousands of items in one call, and how they stand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import check_json, read_body, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Submitter, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_batches as translate
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import answer, answered, question_of
from headrace.api.dialects.native.schemas_batches import (
    BatchesPage,
    BatchQuery,
    BatchRequest,
    BatchView,
)
from headrace.api.dialects.native.translate import read_cursor
from headrace.api.problems import invalid, malformed, unsupported
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import BatchId, BlobId, TenantId
from headrace.core.batch_items import count_items
from headrace.core.errors import BlobNotFound, Unavailable
from headrace.core.errors_bulk import BatchNotFound, EmptyBatch
from headrace.core.ports.batches import Look
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer, Question
from headrace.core.usecases import batches as use

JSON_LINES: Final = "application/jsonl"
_JSON_LINES: Final = frozenset({JSON_LINES, "application/x-ndjson", "application/x-jsonlines"})
_JSON: Final = "application/json"
_VIEW: Final = {"model": BatchView, "headers": documents.REPLAYED_HEADER}
router = APIRouter(tags=["batches"])


async def _batch_id(batch: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> BatchId:
    found = uuid_or_none(batch)
    if found is None:
        raise BatchNotFound(batch[:64])
    return BatchId(found)


BatchInPath = Annotated[BatchId, Depends(_batch_id)]


@router.post(
    "/batches",
    status_code=202,
    response_class=Response,
    responses={
        202: {**_VIEW, "description": "Kept; its items begin when their turn comes."},
        **documents.problems(408, 413, 415, 422, 429),
    },
    openapi_extra=documents.BATCH_BODY,
)
async def submit_batch(
    request: Request,
    deps: Deps,
    caller: Submitter,
    terms: Annotated[BatchQuery, Query()],
    key: IdempotencyHeader = None,
) -> Response:
    """Hand in many items of one kind: in the call, as a body of JSON lines, or as a blob of them.

    Beside JSON lines the query says the kind, and what else is asked of all items.
    """
    asked = await _read(request, deps, terms)
    tenant, current = caller.tenant, await deps.steering.current()
    question = None if key is None else Question(tenant, "POST /batches", key, asked.fingerprint)
    async with _source(deps, tenant, asked) as source:
        wanted = use.BatchRequest(
            **asked.terms,
            tenant=tenant,
            source=source.blob,
            total=source.total,
            api_key=caller.api_key,
            trace=deps.current_traceparent() or received_traceparent(),
        )

        async def do(tx: Transaction) -> Answer:
            path = partial(current.path, tenant)
            made = await use.create_batch(tx, wanted, path=path, new_id=deps.new_id)
            source.used = True
            return answer(translate.batch_view(Look(made, running=0), None), 202)

        return await answered(deps, question, do)


@router.get(
    "/batches",
    response_class=Response,
    responses={200: {"model": BatchesPage}, **documents.problems(422)},
)
async def list_batches(
    deps: Deps,
    tenant: Tenant,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Batches, newest first."""
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    older = None if before is None else (before[0], BatchId(before[1]))
    async with deps.store.begin() as tx:
        found = await tx.page_batches(tenant, before=older, limit=limit + 1)
    return _json(translate.page(found, limit=limit))


@router.get(
    "/batches/{batch}",
    response_class=Response,
    responses={200: {"model": BatchView}, **documents.problems(404)},
)
async def get_batch(deps: Deps, tenant: Tenant, batch: BatchInPath) -> Response:
    """How one batch stands: how many of its items wait, run and have ended, and how."""
    async with deps.store.begin() as tx:
        found = await use.find_batch(tx, tenant, batch)
    return _json(translate.batch_view(found.look, found.left))


@router.post(
    "/batches/{batch}/cancel",
    status_code=202,
    response_class=Response,
    responses={
        200: {**_VIEW, "description": "It is over already."},
        202: {**_VIEW, "description": "No more of it begins, and its jobs are being stopped."},
        **documents.problems(404, 422),
    },
)
async def cancel_batch(
    request: Request, deps: Deps, tenant: Owner, batch: BatchInPath, key: IdempotencyHeader = None
) -> Response:
    """End what is left of it; what has ended stays. Asking again changes nothing."""

    async def do(tx: Transaction) -> Answer:
        found = await use.cancel_batch(tx, tenant, batch)
        status = 200 if found.look.batch.over else 202
        return answer(translate.batch_view(found.look, found.left), status)

    return await answered(deps, question_of(request, tenant, key), do)


@dataclass(frozen=True, slots=True)
class _Asked:
    terms: Mapping[str, Any]  # of all items, in the words of the use case
    items: bytes | BlobId
    fingerprint: str


async def _read(request: Request, deps: ApiDeps, query: BatchQuery) -> _Asked:
    header = request.headers.get("content-type")
    media_type = (header or "").partition(";")[0].strip().lower()
    limits = deps.limits
    if media_type == _JSON:
        if query.model_fields_set:
            name = min(query.model_fields_set)
            raise wrong_parameter(name, "beside JSON this is said in the body")
        body = await read_body(request, limit=limits.batch_bytes, within_s=limits.body_s)
        return await asyncio.to_thread(_from_json, body, limits.json_depth)
    if media_type in _JSON_LINES:
        if query.kind is None:
            raise wrong_parameter("kind", "it is needed beside JSON lines")
        within_s = 10 * limits.body_s  # as a blob
        body = await read_body(request, limit=limits.blob_bytes, within_s=within_s)
        return await asyncio.to_thread(_from_lines, body, query)
    raise unsupported(f"{_JSON} or {JSON_LINES}", header)


def _from_json(body: bytes, depth: int) -> _Asked:
    """Of the items only that they are JSON is asked here: one that is wrong is rejected alone."""
    try:
        value = msgspec.json.decode(body)
        asked = BatchRequest.model_validate(value)
        items = b"\n".join(map(msgspec.json.encode, asked.items or ()))
        canonical = msgspec.json.encode(value, order="deterministic")
    except ValidationError as error:
        raise wrong_body(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise malformed("The body nests too deeply.") from error
    check_json(asked.model_dump_json(exclude={"items"}).encode(), depth=depth)
    if (asked.items is None) == (asked.blob is None):
        detail = "say either the items or the blob that they are in"
        raise invalid([{"pointer": "/items", "detail": detail}])
    terms = _terms(asked, asked.labels)
    source = items if asked.blob is None else BlobId(asked.blob)
    return _Asked(terms, source, hashlib.sha256(canonical).hexdigest())


def _from_lines(body: bytes, query: BatchQuery) -> _Asked:
    labels = dict(each.split(":", 1) for each in query.label)
    said = hashlib.sha256(query.model_dump_json().encode() + b"\n" + body).hexdigest()
    return _Asked(_terms(query, labels), body, said)


def _terms(asked: BatchQuery | BatchRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": asked.kind,
        "model": asked.model,
        "priority": asked.priority,
        "timeout_s": asked.timeout,
        "labels": dict(labels),
    }


@dataclass(slots=True)
class _Source:
    blob: BlobId
    total: int
    used: bool = False


@asynccontextmanager
async def _source(deps: ApiDeps, tenant: TenantId, asked: _Asked) -> AsyncGenerator[_Source]:
    """Kept before it is known whether the key is new: no transaction waits for the bytes."""
    if not isinstance(asked.items, bytes):
        data = await _uploaded(deps, tenant, asked.items)
        yield _Source(asked.items, await asyncio.to_thread(count_items, data))
        return
    total = await asyncio.to_thread(count_items, asked.items)
    if total == 0:
        raise EmptyBatch
    source = _Source(await deps.blobs.put(tenant, Blob(JSON_LINES, asked.items)), total)
    try:
        yield source
    finally:
        if not source.used:
            with suppress(Unavailable):  # nobody names it: it is collected in time
                await deps.blobs.delete(tenant, source.blob)


async def _uploaded(deps: ApiDeps, tenant: TenantId, blob: BlobId) -> bytes:
    """Raises Refused where the tenant has none such."""
    try:
        return (await deps.blobs.get(tenant, blob)).data
    except BlobNotFound as error:
        raise invalid([{"pointer": "/blob", "detail": str(error)}]) from error


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
