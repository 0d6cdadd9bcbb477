"""`/uploads`: large inputs, resumable, by the protocol tus 1.0.0 (creation, expiration, checksum, termination).

With `?signed=SECONDS` the address that is answered needs no key for so long: for a browser that has none.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Security
from fastapi.security import SecurityScopes
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.deps import ApiDeps, Deps, Owner
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.schemas_uploads import UploadView
from headrace.api.problems import Problem, Refused, invalid, malformed, too_slow, unsupported
from headrace.contracts.ids import TenantId, UploadId
from headrace.core.errors_bulk import UploadNotFound
from headrace.core.ports.keys import Scope
from headrace.core.ports.uploads import Upload
from headrace.core.usecases.upload import (
    Desk,
    begin_upload,
    end_upload,
    find_upload,
    finished,
    receive,
)

router = APIRouter(tags=["blobs"])
VERSION: Final = "1.0.0"
_EXTENSIONS: Final = "creation,expiration,checksum,termination"
_BODY_TYPE: Final = "application/offset+octet-stream"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,63}")
_TYPE_NAMES: Final = ("filetype", "type", "content-type")  # what clients call it
_SHA256_BYTES: Final = 32
_MOST: Final = 2**53
_OTHER_VERSION: Final = Problem(
    412,
    "other-version",
    "We speak tus 1.0.0",
    "Send the header Tus-Resumable: 1.0.0.",
    headers={"Tus-Version": VERSION},
)
_BAD_SIGNATURE: Final = Problem(
    403, "bad-signature", "This address is good no longer", "It was not signed here, or is over."
)


Spoken = Annotated[str | None, Header(alias="Tus-Resumable", description="`1.0.0`.")]


_InPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


@dataclass(frozen=True, slots=True)
class _Signed:
    """As the address says it."""

    tenant: TenantId
    until: int
    signature: str


async def _signed(
    of: Annotated[str | None, Query(max_length=300, description="As it was signed.")] = None,
    until: Annotated[int, Query(ge=0, le=_MOST, description="As it was signed.")] = 0,
    signature: Annotated[str, Query(max_length=100)] = "",
) -> _Signed | None:
    return None if of is None else _Signed(TenantId(of), until, signature)


async def _sender(
    request: Request,
    deps: Deps,
    needed: SecurityScopes,
    upload: _InPath,
    signed: Annotated[_Signed | None, Depends(_signed)],
) -> TenantId:
    """By the signature of the address, or by a key."""
    if signed is None:
        caller = await deps.auth.admit(request.headers)
        for scope in needed.scopes:
            caller.must_have(Scope(scope))
        return caller.tenant
    of, until = signed.tenant, signed.until
    if not await deps.signed.is_good("UPLOAD", of, upload, until, signed.signature):
        raise Refused(_BAD_SIGNATURE)
    return of


async def _found(
    deps: Deps,
    upload: _InPath,
    tenant: Annotated[TenantId, Security(_sender, scopes=[Scope.SUBMIT])],
) -> Upload:
    wanted = uuid_or_none(upload)
    if wanted is None:
        raise UploadNotFound(upload[:64])
    async with deps.store.begin() as tx:
        return await find_upload(tx, tenant, UploadId(wanted))


Found = Annotated[Upload, Depends(_found)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    length: int
    metadata: str


async def _wanted(
    upload_length: Annotated[int, Header(ge=1, le=_MOST, description="Bytes, of all of it.")],
    upload_metadata: Annotated[
        str, Header(max_length=4096, description="`filetype` in base64, as tus has it.")
    ] = "",
) -> _Wanted:
    return _Wanted(upload_length, upload_metadata)


@router.options("/uploads", status_code=204, response_class=Response, responses={204: {}})
async def describe_uploads(deps: Deps) -> Response:
    """What of tus is spoken here."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": _EXTENSIONS,
            "Tus-Max-Size": str(deps.uploads.upload_bytes),
            "Tus-Checksum-Algorithm": "sha256",
        },
    )


@router.post(
    "/uploads",
    status_code=201,
    response_class=Response,
    responses={
        201: {"description": "`Location` is where its bytes go.", "model": UploadView},
        **documents.problems(412, 413, 422, 429),
    },
)
async def make_upload(  # what it will be, and for whom
    request: Request,
    deps: Deps,
    tenant: Owner,
    wanted: Annotated[_Wanted, Depends(_wanted)],
    signed: Annotated[
        int | None, Query(ge=1, le=86_400, description="Seconds that its address needs no key.")
    ] = None,
    tus: Spoken = None,
) -> Response:
    """Begin to send a large input: its bytes follow, in as many requests as it takes."""
    _must_speak(tus)
    upload = await begin_upload(_desk(deps), tenant, wanted.length, _media_type(wanted.metadata))
    place = f"/uploads/{upload.id}"
    if signed is not None:
        base = deps.public_url or str(request.base_url)
        within = timedelta(seconds=signed)
        place = await deps.signed.for_upload(base, tenant, upload.id, within=within)
    headers = {"Location": place, **_told(upload)}
    view = await _view(deps, upload)
    return Response(view.model_dump_json(), 201, headers, media_type="application/json")


@router.head(
    "/uploads/{upload}",
    response_class=Response,
    responses={200: {}, **documents.problems(404, 412, 422)},
)
async def look_at_upload(deps: Deps, upload: Found, tus: Spoken = None) -> Response:
    """How much of it is there."""
    _must_speak(tus)
    upload = await finished(_desk(deps), upload)
    return Response(headers={**_told(upload), **_NO_STORE})


@router.get(
    "/uploads/{upload}",
    response_class=Response,
    responses={200: {"model": UploadView}, **documents.problems(404, 422)},
)
async def get_upload(deps: Deps, upload: Found) -> Response:
    """The same for people and programs that do not speak tus; and the blob that it has become."""
    view = await _view(deps, await finished(_desk(deps), upload))
    return Response(view.model_dump_json(), headers=_NO_STORE, media_type="application/json")


@router.patch(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    responses={
        204: {
            "description": "`Upload-Offset` is where it goes on; `Headrace-Blob` once it is one."
        },
        **documents.problems(404, 408, 409, 412, 413, 415, 422, 423, 460),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def send_piece(
    request: Request,
    deps: Deps,
    upload: Found,
    upload_offset: Annotated[int, Header(ge=0, le=_MOST)],
    upload_checksum: Annotated[
        str | None, Header(max_length=100, description="`sha256 BASE64`, of this body.")
    ] = None,
    tus: Spoken = None,
) -> Response:
    """Add bytes where it ends. What has come when a connection breaks is kept."""
    _must_speak(tus)
    media_type = request.headers.get("content-type")
    if media_type != _BODY_TYPE:
        raise unsupported(_BODY_TYPE, media_type)
    digest = None if upload_checksum is None else _digest(upload_checksum)
    desk, body = _desk(deps), _body(request, deps.limits.body_s)
    upload = await receive(desk, upload, body, at=upload_offset, sha256=digest)
    return Response(status_code=204, headers=_told(await finished(desk, upload)))


@router.delete(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    responses={204: {}, **documents.problems(404, 412, 422)},
)
async def delete_upload(deps: Deps, upload: Found, tus: Spoken = None) -> Response:
    """Give it up. What is a blob already stays."""
    _must_speak(tus)
    await end_upload(_desk(deps), upload)
    return Response(status_code=204)


def _must_speak(version: str | None) -> None:
    if version != VERSION:
        raise Refused(_OTHER_VERSION)


def _desk(deps: ApiDeps) -> Desk:
    return Desk(deps.store, deps.blobs, deps.uploads, deps.new_id)


async def _body(request: Request, within_s: float) -> AsyncIterator[bytes]:
    """No silence is longer than this."""
    parts = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(within_s):
                part = await anext(parts, None)
        except TimeoutError as error:
            raise too_slow(within_s) from error
        except ClientDisconnect as error:
            raise malformed("The body ended early.") from error
        if part is None:
            return
        yield part


def _told(upload: Upload) -> dict[str, str]:
    told = {"Upload-Offset": str(upload.received), "Upload-Length": str(upload.length)}
    if upload.finished_at is not None:
        told["Headrace-Blob"] = upload.blob
    if upload.expires_at is not None:
        told["Upload-Expires"] = _http_date(upload.expires_at)
    return told


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


async def _view(deps: ApiDeps, upload: Upload) -> UploadView:
    over = upload.finished_at is not None
    facts = await deps.blobs.facts(upload.tenant, upload.blob) if over else None
    return UploadView(
        id=upload.id,
        length=upload.length,
        received=upload.received,
        media_type=upload.media_type,
        expires_at=upload.expires_at,
        blob=upload.blob if over else None,
        sha256=None if facts is None else facts.sha256,
    )


def _media_type(metadata: str) -> str:
    """As the client says it, if it is one."""
    pairs = [part.strip().partition(" ") for part in metadata.split(",")]
    said = {name.lower(): value for name, _, value in pairs}
    for name in _TYPE_NAMES:
        try:
            found = base64.b64decode(said.get(name, ""), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError) as error:
            wrong = {"parameter": "upload-metadata", "detail": f"{name} is no base64"}
            raise invalid([wrong]) from error
        if _TYPE.fullmatch(found.lower()):
            return found.lower()
    return "application/octet-stream"


def _digest(header: str) -> bytes:
    algorithm, _, value = header.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        digest = b""
    if algorithm != "sha256" or len(digest) != _SHA256_BYTES:
        raise malformed("Upload-Checksum is 'sha256' and its digest in base64, no other.")
    return digest
