"""Blobs go in whole and come out as they were, to their tenant alone."""

from __future__ import annotations

import httpx
import pytest

from headrace.api.deps import ApiDeps

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
PNG = {"content-type": "image/png"}


async def test_a_blob_comes_back_as_it_was(http: httpx.AsyncClient) -> None:
    kept = await http.post("/blobs", content=b"\x89PNG\0\xff", headers={**RED, **PNG})

    read = await http.get(f"/blobs/{kept.json()['blob']}", headers=RED)

    assert kept.status_code == 201
    assert kept.json() | {"blob": ""} == {"blob": "", "media_type": "image/png", "size": 6}
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
