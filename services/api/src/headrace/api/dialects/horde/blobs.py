"""Pictures by signed addresses: workers put them here, clients get them. No key: the signature is the right."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import Response

from headrace.api.bodies import read_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.serving import DESCRIBED, blob_answer, is_blob
from headrace.api.signed import Method
from headrace.contracts.ids import BlobId, TenantId

router = routes()
_Of = Annotated[str, Query(max_length=300, description="As it was signed.")]
_Until = Annotated[int, Query(ge=0, le=2**53, description="As it was signed.")]
_Signature = Annotated[str, Query(max_length=100)]
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put(
    "/blobs/{blob}",
    response_class=Response,
    responses={200: {"description": "Kept."}, **errors(404, 408, 413)},
    openapi_extra=_BODY,
)
async def put_blob(  # what is signed
    request: Request, deps: Deps, blob: str, of: _Of, until: _Until, signature: _Signature
) -> Response:
    """Raw bytes, of whatever type they say they are or do not say."""
    await _check(deps, "PUT", blob, of, until, signature)
    limits = deps.limits
    data = await read_body(request, limit=limits.blob_bytes, within_s=10 * limits.body_s)
    if not data:
        raise HordeError(400, "ImageValidationFailed", "There are no bytes in it.")
    await deps.blobs.put_as(TenantId(of), BlobId(blob), data)
    return Response(b"", 200)


@router.get(
    "/blobs/{blob}",
    response_class=Response,
    responses={**DESCRIBED, **errors(404)},
)
async def get_signed_blob(  # what is signed
    request: Request, deps: Deps, blob: str, of: _Of, until: _Until, signature: _Signature
) -> Response:
    """What a result names."""
    await _check(deps, "GET", blob, of, until, signature)
    return await blob_answer(request, deps.blobs, TenantId(of), blob)


async def _check(  # what is signed
    deps: ApiDeps, method: Method, blob: str, of: str, until: int, signature: str
) -> None:
    if not is_blob(blob):
        raise HordeError(404, "ImageNotFound", "There is no such image.")
    if not await deps.signed.is_good(method, TenantId(of), BlobId(blob), until, signature):
        raise HordeError(403, "Forbidden", "This address was not signed here, or is over.")
