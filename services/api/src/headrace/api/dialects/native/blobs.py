"""`/blobs`: bytes that are too large for a job's input or result."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_body
from headrace.api.deps import ApiDeps, Deps, Owner, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.repeating import answer, replayed_header
from headrace.api.dialects.native.schemas import BlobView
from headrace.api.problems import invalid, unsupported
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound, IdempotencyConflict, Unavailable
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer, Question
from headrace.core.usecases.once import Told, once

router = APIRouter(tags=["blobs"])
_BLOB: Final = re.compile(r"[0-9a-f-]{36}(\.[a-z0-9]{1,10})?")
_ACCEPTED: Final = re.compile(r"image/[a-z0-9][a-z0-9.+-]{0,63}|application/(octet-stream|jsonl)")
# What somebody uploaded is never a page of ours: it may not run scripts here.
_INERT: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",
}


@router.post(
    "/blobs",
    status_code=201,
    response_class=Response,
    responses={
        201: {"model": BlobView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(408, 413, 415, 422),
    },
    openapi_extra=documents.BLOB_BODY,
)
async def put_blob(
    request: Request, deps: Deps, tenant: Owner, key: IdempotencyHeader = None
) -> Response:
    """Keep an image (or other bytes); its id can stand in a job's input, or a batch has its items there."""
    media_type = _media_type(request.headers.get("content-type"))
    limits = deps.limits
    data = await read_body(request, limit=limits.blob_bytes, within_s=10 * limits.body_s)
    if not data:
        raise invalid([{"pointer": "", "detail": "a blob has at least one byte"}])
    blob = Blob(media_type, data)
    told = await _kept_once(deps, tenant, blob, _question(tenant, key, blob))
    view = BlobView.model_validate_json(told.answer.body)
    headers = {"Location": f"/blobs/{view.blob}", **replayed_header(told)}
    return Response(told.answer.body, 201, headers, media_type="application/json")


async def _kept_once(
    deps: ApiDeps, tenant: TenantId, blob: Blob, question: Question | None
) -> Told:
    """Kept before it is known whether the key is new: no transaction waits for the bytes."""
    kept = await deps.blobs.put(tenant, blob)
    view = BlobView(blob=kept, media_type=blob.media_type, size=len(blob.data))
    if question is None:
        return Told(answer(view, 201), replayed=False)

    async def do(_: Transaction) -> Answer:
        return answer(view, 201)

    try:
        told = await once(deps.store, question, do)
    except IdempotencyConflict:
        await _drop(deps, tenant, kept)
        raise
    if told.replayed:
        await _drop(deps, tenant, kept)
    return told


async def _drop(deps: ApiDeps, tenant: TenantId, blob: BlobId) -> None:
    with suppress(Unavailable):  # nobody names it: it is collected in time
        await deps.blobs.delete(tenant, blob)


def _question(tenant: TenantId, key: str | None, blob: Blob) -> Question | None:
    if key is None:
        return None
    said = hashlib.sha256(f"{blob.media_type}\n".encode() + blob.data).hexdigest()
    return Question(tenant, "POST /blobs", key, said)


@router.get(
    "/blobs/{blob}",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes, as they were sent.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        **documents.problems(404),
    },
)
async def get_blob(
    deps: Deps, tenant: Tenant, blob: Annotated[str, Path(description="The blob's id.")]
) -> Response:
    """A blob of this tenant's."""
    if _BLOB.fullmatch(blob) is None:
        raise BlobNotFound(blob[:64])
    found = await deps.blobs.get(tenant, BlobId(blob))
    return Response(found.data, headers=_INERT, media_type=found.media_type)


def _media_type(header: str | None) -> str:
    media_type = (header or "").partition(";")[0].strip().lower()
    if _ACCEPTED.fullmatch(media_type) is None:
        raise unsupported("image/*, application/jsonl or application/octet-stream", header)
    return media_type
