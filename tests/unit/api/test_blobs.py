"""Blobs go in whole and come out as they were, to their tenant alone."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import TenantId
from headrace.core.ports.blobs import Blob

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
PNG = {"content-type": "image/png"}


async def test_a_blob_comes_back_as_it_was(http: httpx.AsyncClient) -> None:
    kept = await http.post("/blobs", content=b"\x89PNG\0\xff", headers={**RED, **PNG})

    read = await http.get(f"/blobs/{kept.json()['blob']}", headers=RED)

    assert kept.status_code == 201
    assert kept.json() | {"blob": ""} == {
        "blob": "",
        "media_type": "image/png",
        "size": 6,
        "sha256": hashlib.sha256(b"\x89PNG\0\xff").hexdigest(),
    }
    assert kept.headers["location"] == f"/blobs/{kept.json()['blob']}"
    assert read.content == b"\x89PNG\0\xff"
    assert read.headers["content-type"] == "image/png"


async def test_a_blob_cannot_run_scripts_here(http: httpx.AsyncClient) -> None:
    kept = await http.post("/blobs", content=b"<svg/>", headers={"content-type": "image/svg+xml"})

    read = await http.get(f"/blobs/{kept.json()['blob']}")

    assert "sandbox" in read.headers["content-security-policy"]
    assert read.headers["x-content-type-options"] == "nosniff"


async def test_another_tenants_blob_is_not_found(http: httpx.AsyncClient) -> None:
    kept = await http.post("/blobs", content=b"a", headers={**RED, **PNG})

    answer = await http.get(f"/blobs/{kept.json()['blob']}", headers=BLUE)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "blob", ["none", "..%2f..%2fetc%2fpasswd", "6f9619ff-8b86-4011-b42d-00c04fc964ff.png"]
)
async def test_an_unknown_blob_is_not_found(http: httpx.AsyncClient, blob: str) -> None:
    assert (await http.get(f"/blobs/{blob}")).status_code == 404


async def test_a_blob_over_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/blobs", content=b"x" * 9000, headers=PNG)

    assert answer.status_code == 413
    assert answer.json()["limit"] == 8192


async def test_an_empty_blob_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/blobs", content=b"", headers=PNG)).status_code == 422


@pytest.mark.parametrize("media_type", ["text/html", "image/", "image/a b", ""])
async def test_only_images_and_bytes_are_taken(http: httpx.AsyncClient, media_type: str) -> None:
    answer = await http.post("/blobs", content=b"a", headers={"content-type": media_type})

    assert answer.status_code == 415


async def test_a_blob_that_is_sent_again_with_its_key_is_the_same_blob(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    keyed = {**RED, **PNG, "Idempotency-Key": "k"}
    first = await http.post("/blobs", content=b"a", headers=keyed)

    again = await http.post("/blobs", content=b"a", headers=keyed)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert await kept(deps) == 1


@pytest.mark.parametrize(
    ("content", "headers"), [(b"b", PNG), (b"a", {"content-type": "image/webp"})]
)
async def test_a_key_belongs_to_the_bytes_and_the_type_it_came_with(
    http: httpx.AsyncClient, deps: ApiDeps, content: bytes, headers: dict[str, str]
) -> None:
    await http.post("/blobs", content=b"a", headers={**PNG, "Idempotency-Key": "k"})

    answer = await http.post("/blobs", content=content, headers={**headers, "Idempotency-Key": "k"})

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:headrace:problem:idempotency-conflict"
    assert await kept(deps) == 1


async def test_without_a_key_two_uploads_are_two_blobs(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    for _ in range(2):
        assert (await http.post("/blobs", content=b"a", headers=PNG)).status_code == 201

    assert await kept(deps) == 2


async def kept(deps: ApiDeps) -> int:
    return len((await deps.blobs.page(after="", limit=10)).blobs)


async def kept_as(http: httpx.AsyncClient, data: bytes) -> str:
    answer = await http.post("/blobs", content=data, headers={**RED, **PNG})
    return str(answer.json()["blob"])


@pytest.mark.parametrize(
    ("asked", "given", "part"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=3-1", b"0123456789", None),
        ("bytes=0-1,3-4", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
        ("bytes=-", b"0123456789", None),
    ],
)
async def test_a_range_of_its_bytes_can_be_had(
    http: httpx.AsyncClient, asked: str, given: bytes, part: str | None
) -> None:
    blob = await kept_as(http, b"0123456789")

    answer = await http.get(f"/blobs/{blob}", headers={**RED, "Range": asked})

    assert (answer.status_code, answer.content) == (206 if part else 200, given)
    assert answer.headers.get("content-range") == part
    assert answer.headers["content-length"] == str(len(given))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
async def test_bytes_that_are_not_there_are_refused(http: httpx.AsyncClient, asked: str) -> None:
    blob = await kept_as(http, b"0123456789")

    answer = await http.get(f"/blobs/{blob}", headers={**RED, "Range": asked})

    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")


async def test_who_has_it_already_is_told_so_and_a_range_is_of_what_one_has(
    http: httpx.AsyncClient,
) -> None:
    blob, digest = await kept_as(http, b"0123456789"), hashlib.sha256(b"0123456789")

    whole = await http.get(f"/blobs/{blob}", headers=RED)
    tag = whole.headers["etag"]
    again = await http.get(f"/blobs/{blob}", headers={**RED, "If-None-Match": f'"x", {tag}'})
    same = await http.get(f"/blobs/{blob}", headers={**RED, "Range": "bytes=5-", "If-Range": tag})
    other = await http.get(
        f"/blobs/{blob}", headers={**RED, "Range": "bytes=5-", "If-Range": '"x"'}
    )

    assert tag == f'"{digest.hexdigest()}"'
    encoded = base64.b64encode(digest.digest()).decode()
    assert whole.headers["repr-digest"] == f"sha-256=:{encoded}:"
    assert (again.status_code, again.content) == (304, b"")
    assert (same.status_code, same.content) == (206, b"56789")
    assert (other.status_code, other.content) == (200, b"0123456789")


async def test_a_large_blob_comes_in_pieces(http: httpx.AsyncClient, deps: ApiDeps) -> None:
    data = bytes(range(256)) * 4 * 3000
    blob = await deps.blobs.put(TenantId("red"), Blob("image/png", data))

    whole = await http.get(f"/blobs/{blob}", headers=RED)
    part = await http.get(f"/blobs/{blob}", headers={**RED, "Range": "bytes=1000-2500000"})

    assert whole.content == data
    assert part.content == data[1000:2_500_001]


async def test_a_link_needs_no_key_until_it_is_over(http: httpx.AsyncClient) -> None:
    blob = await kept_as(http, b"0123456789")

    told = (await http.get(f"/blobs/{blob}/link?within=60", headers=RED)).json()

    assert (told["size"], told["expires_in_s"]) == (10, 60)
    assert told["sha256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert (await http.get(told["url"])).content == b"0123456789"
    part = await http.get(told["url"], headers={"Range": "bytes=2-3"})
    assert (part.status_code, part.content) == (206, b"23")
    changed = told["url"].replace("until=", "until=9")
    assert (await http.get(changed)).status_code == 403
    assert (await http.get(f"/blobs/{blob}/link", headers=BLUE)).status_code == 404


async def test_a_result_tells_the_digest_of_its_blobs_and_where_they_are(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    blob = await kept_as(http, b"0123456789")
    gone = "6f9619ff-8b86-4011-b42d-00c04fc964ff.png"
    await backstage.start(submitted)
    await backstage.finish(submitted, {"images": [{"blob": blob}, {"blob": gone}]})

    told = (await http.get(f"/jobs/{submitted}/result", headers=RED)).json()

    (link,) = told["blobs"]
    assert (link["blob"], link["sha256"]) == (blob, hashlib.sha256(b"0123456789").hexdigest())
    assert (await http.get(link["url"])).content == b"0123456789"
