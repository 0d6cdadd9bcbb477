"""Large inputs come piece by piece, as tus has it, and go on where they ended, at whichever process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import TenantId, UploadId
from headrace.core.errors_bulk import UploadMoved
from headrace.core.ports.store import Transaction
from headrace.core.usecases.upload import Bounds, Desk, begin_upload, end_expired, receive
from headrace.testkit.apps import create_app

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def deps_with_bounds(deps: ApiDeps) -> ApiDeps:
    return replace(deps, uploads=Bounds(upload_bytes=100, tenant_bytes=150))


@pytest.fixture
def app(deps_with_bounds: ApiDeps) -> FastAPI:
    return create_app(deps_with_bounds)


async def begin(http: httpx.AsyncClient, length: int = 10, **headers: str) -> str:
    asked = {**RED, **TUS, "Upload-Length": str(length), **headers}
    answer = await http.post("/uploads", headers=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def send(
    http: httpx.AsyncClient, place: str, data: bytes, at: int, **headers: str
) -> httpx.Response:
    asked = {**RED, **PIECE, "Upload-Offset": str(at), **headers}
    return await http.patch(place, content=data, headers=asked)


async def offset(http: httpx.AsyncClient, place: str) -> int:
    answer = await http.head(place, headers={**RED, **TUS})
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


async def test_pieces_become_a_blob_of_their_type_with_its_digest(http: httpx.AsyncClient) -> None:
    kind = base64.b64encode(b"image/png").decode()
    told: dict[str, Any] = {"Upload-Metadata": f"filename YQ==,filetype {kind}"}
    place = await begin(http, **told)

    first = await send(http, place, b"01234", 0)
    between = (await http.get(place, headers=RED)).json()
    last = await send(http, place, b"56789", 5)

    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert "headrace-blob" not in first.headers
    assert (between["received"], between["blob"], between["sha256"]) == (5, None, None)
    blob = last.headers["headrace-blob"]
    found = await http.get(f"/blobs/{blob}", headers=RED)
    assert (found.content, found.headers["content-type"]) == (b"0123456789", "image/png")
    told = (await http.get(place, headers=RED)).json()
    assert told["sha256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert told["blob"] == blob
    job = {"kind": "echo", "input": {"text": "a"}, "labels": {"of": blob}}
    assert (await http.post("/jobs", json=job, headers=RED)).status_code == 202


async def test_what_is_spoken_is_told_without_a_key(http: httpx.AsyncClient) -> None:
    answer = await http.request("OPTIONS", "/uploads")

    assert answer.status_code == 204
    assert answer.headers["tus-extension"] == "creation,expiration,checksum,termination"
    assert answer.headers["tus-max-size"] == "100"
    assert answer.headers["tus-checksum-algorithm"] == "sha256"
    assert answer.headers["tus-resumable"] == "1.0.0"


async def test_another_version_is_refused_and_told_ours(http: httpx.AsyncClient) -> None:
    answer = await http.post("/uploads", headers={**RED, "Upload-Length": "3"})

    assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
    assert answer.headers["tus-resumable"] == "1.0.0"


async def test_a_piece_that_begins_elsewhere_is_refused(http: httpx.AsyncClient) -> None:
    place = await begin(http)
    await send(http, place, b"012", 0)

    gap, again = await send(http, place, b"x", 5), await send(http, place, b"x", 0)

    assert (gap.status_code, again.status_code) == (409, 409)
    assert await offset(http, place) == 3


async def test_too_much_is_refused_and_what_came_before_stays(http: httpx.AsyncClient) -> None:
    place = await begin(http)
    await send(http, place, b"0123", 0)

    answer = await send(http, place, b"x" * 7, 4)

    assert answer.status_code == 413
    assert await offset(http, place) == 4


async def test_a_wrong_checksum_counts_for_nothing_and_a_right_one_counts(
    http: httpx.AsyncClient,
) -> None:
    place = await begin(http)
    right = base64.b64encode(hashlib.sha256(b"01234").digest()).decode()

    wrong = await send(http, place, b"01x34", 0, **{"Upload-Checksum": f"sha256 {right}"})
    assert (wrong.status_code, await offset(http, place)) == (460, 0)
    good = await send(http, place, b"01234", 0, **{"Upload-Checksum": f"sha256 {right}"})
    assert (good.status_code, await offset(http, place)) == (204, 5)
    other = await send(http, place, b"5", 5, **{"Upload-Checksum": "md5 abc="})
    assert other.status_code == 400


async def test_what_came_before_a_connection_broke_is_kept_and_another_process_goes_on(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"01"
        yield b"23"
        raise ConnectionError("the cable")

    desk = Desk(deps.store, deps.blobs, deps.uploads, deps.new_id)
    upload = await begin_upload(desk, TenantId("red"), 10, "text/plain")
    with pytest.raises(ConnectionError):
        await receive(desk, upload, broken(), at=0)

    place = f"/uploads/{upload.id}"
    assert await offset(http, place) == 4
    answer = await send(http, place, b"456789", 4)

    blob = answer.headers["headrace-blob"]
    assert (await http.get(f"/blobs/{blob}", headers=RED)).content == b"0123456789"


async def test_who_fell_silent_is_overtaken_and_what_it_brings_then_counts_no_more(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    desk = Desk(deps.store, deps.blobs, deps.uploads, deps.new_id)
    upload = await begin_upload(desk, TenantId("red"), 10, "text/plain")
    place = f"/uploads/{upload.id}"

    async def silent() -> AsyncIterator[bytes]:
        async with deps.store.begin() as tx:  # as if what it holds it for were over
            await tx.release_upload(upload.id, (await held(tx, upload.id)) or "")
        assert (await send(http, place, b"0123456789", 0)).status_code == 204
        yield b"xx"

    with pytest.raises(UploadMoved):
        await receive(desk, upload, silent(), at=0)

    told = (await http.get(place, headers=RED)).json()
    assert told["sha256"] == hashlib.sha256(b"0123456789").hexdigest()


async def held(tx: Transaction, upload: UploadId) -> str | None:
    found = await tx.upload(upload)
    return None if found is None else found.held_by


async def test_one_sends_at_a_time(http: httpx.AsyncClient) -> None:
    place, begun, go_on = await begin(http), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"01234"
        begun.set()
        await go_on.wait()
        yield b"56789"

    asked = {**RED, **PIECE, "Upload-Offset": "0"}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(http.patch(place, content=slow(), headers=asked))
        await begun.wait()
        second = await send(http, place, b"01234", 0)
        go_on.set()

    assert (first.result().status_code, second.status_code) == (204, 423)


async def test_a_signed_address_needs_no_key_and_is_good_for_that_upload_alone(
    http: httpx.AsyncClient,
) -> None:
    place = await begin(http)
    answer = await http.post("/uploads?signed=60", headers={**RED, **TUS, "Upload-Length": "3"})
    signed = answer.headers["location"]

    sent = await http.patch(signed, content=b"abc", headers={**PIECE, "Upload-Offset": "0"})

    assert sent.status_code == 204
    assert (await http.get(signed)).json()["blob"] == sent.headers["headrace-blob"]
    query = httpx.URL(signed).query.decode()
    assert (await http.head(f"{place}?{query}", headers=TUS)).status_code == 403
    assert (await http.head(place, headers=TUS | BLUE)).status_code == 404
    assert (await http.head(place, headers=TUS)).status_code == 404  # anyone is nobody's tenant


async def test_what_is_under_way_has_a_bound_by_upload_and_by_tenant(
    http: httpx.AsyncClient,
) -> None:
    large = await http.post("/uploads", headers={**RED, **TUS, "Upload-Length": "101"})
    place = await begin(http, 100)
    more = await http.post("/uploads", headers={**RED, **TUS, "Upload-Length": "51"})
    theirs = await http.post("/uploads", headers={**BLUE, **TUS, "Upload-Length": "51"})

    assert (large.status_code, more.status_code, theirs.status_code) == (413, 429, 201)
    assert (await http.delete(place, headers={**RED, **TUS})).status_code == 204
    assert (await http.head(place, headers={**RED, **TUS})).status_code == 404
    await begin(http, 51)


async def test_an_abandoned_upload_expires_with_its_bytes(
    http: httpx.AsyncClient, deps: ApiDeps, tmp_path: Path
) -> None:
    brief = create_app(replace(deps, uploads=Bounds(kept=timedelta(milliseconds=1))))
    transport = httpx.ASGITransport(brief)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as other:
        place = (await begin(other)).removeprefix("/uploads/")
    place = await begin(http)
    await send(http, place, b"0123", 0)

    gone = await end_expired(deps.store, deps.blobs, limit=10)

    assert gone == 1
    assert await offset(http, place) == 4
    assert len(list((tmp_path / "blobs").rglob(".upload-*"))) == 1


@pytest.mark.parametrize(
    "headers", [{"Upload-Length": "0"}, {"Upload-Length": "-1"}, {"Upload-Length": "x"}, {}]
)
async def test_a_length_is_needed(http: httpx.AsyncClient, headers: dict[str, Any]) -> None:
    answer = await http.post("/uploads", headers={**RED, **TUS, **headers})

    assert answer.status_code == 422


async def test_another_type_of_body_is_refused(http: httpx.AsyncClient) -> None:
    place = await begin(http)

    answer = await send(http, place, b"x", 0, **{"Content-Type": "text/plain"})

    assert answer.status_code == 415
