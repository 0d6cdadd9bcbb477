"""Pictures by address: signed, good for a while, for whoever has it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde.documents import errors, routes
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound

router = routes()
GOOD_FOR_S: Final = 1800.0  # from when it was told; `status` tells a new one
_READ: Final = "read a blob"
# What somebody made is never a page of ours: it may not run scripts here.
_INERT: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=1800, immutable",
}


def picture_url(http: Request, deps: ApiDeps, tenant: TenantId, blob: BlobId) -> str:
    token = deps.signer.sign(_READ, tenant, blob, within_s=GOOD_FOR_S)
    base = deps.public_url or str(http.base_url).rstrip("/")
    return f"{base}/api/v2/blobs/{token}"


@router.get(
    "/blobs/{token}",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(404),
    },
)
async def get_picture(
    deps: Deps, token: Annotated[str, Path(description="As an `img` has it.")]
) -> Response:
    """What an address of `generate/status` leads to, for as long as that is good."""
    about = deps.signer.read(_READ, token)
    if about is None:
        raise BlobNotFound(token[:16])
    tenant, blob = about
    found = await deps.blobs.get(TenantId(tenant), BlobId(blob))
    return Response(found.data, headers=_INERT, media_type=found.media_type)
