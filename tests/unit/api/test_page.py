"""The page is served beside the api: addresses of the api win, but for a browser that navigates."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.testkit.apps import create_app

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def site(deps: Any, tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>the page</title>")
    (folder / "assets" / "app-1a2b.js").write_text("let a = 1")
    (tmp_path / "secret.txt").write_text("secret")
    transport = httpx.ASGITransport(create_app(replace(deps, page_dir=folder)))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        yield http


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/models",
            "/models/digits",
            "/runs",
            "/batches",
            "/batches/6f9619ff-8b86-4011-b42d-00c04fc964ff",
            "/webhooks",
            "/webhooks/deliveries",
            "/webhooks/deliveries/6f9619ff-8b86-4011-b42d-00c04fc964ff",
        ),
        *("/", "/jobs", "/jobs/6f9619ff-8b86-4011-b42d-00c04fc964ff", "/about"),
        *("/ops", "/ops/jobs", "/ops/queues/a%2Fb", "/ops/dead-letters?tenant=a.js"),
    ],
)
async def test_a_browser_that_navigates_gets_the_page(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(path, headers=BROWSER)

    assert answer.status_code == 200
    assert answer.text == "<title>the page</title>"
    assert answer.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_programs_get_the_api_at_the_same_address(site: httpx.AsyncClient) -> None:
    assert (await site.get("/jobs")).json() == {"jobs": [], "next": None}
    assert (await site.get("/health", headers=BROWSER)).json()["status"] == "ok"


async def test_the_console_shadows_no_route_of_operators(site: httpx.AsyncClient) -> None:
    answer = await site.get("/admin/audit", headers=BROWSER)

    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (await site.get("/ops/jobs")).status_code == 404  # a program gets no page


async def test_an_asset_may_be_kept_for_good(site: httpx.AsyncClient) -> None:
    answer = await site.get("/assets/app-1a2b.js")

    assert answer.text == "let a = 1"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["/assets/none.js", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/assets"]
)
async def test_what_is_not_there_is_not_found(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_build_it_says_how_to_make_one(http: httpx.AsyncClient) -> None:
    answer = await http.get("/", headers=BROWSER)

    assert answer.status_code == 200
    assert "make web" in answer.text


async def test_pages_of_listed_origins_may_call(deps: Any) -> None:
    app = create_app(replace(deps, cors_origins=frozenset({"https://shop.example"})))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        listed = await http.get("/jobs", headers={"origin": "https://shop.example"})
        foreign = await http.get("/jobs", headers={"origin": "https://evil.example"})

    assert listed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "X-Trace-Id" in listed.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in foreign.headers
