"""The calls that living clients and workers make, in their order, each read as strictly as they read it."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.unit.api.horde.conftest import ANONYMOUS, Requester, _json
from tests.unit.api.horde.workers.conftest import (
    ASKED,
    REMOTE_MODEL,
    WEBP,
    RemoteWorker,
    with_key,
)

from headrace.core.ports.keys import Scope
from headrace.core.ports.store import Store
from headrace.testkit.waits import eventually

PNG = b"\x89PNG\r\n\x1a\n-and-the-rest"


@pytest.fixture
async def owner(http: httpx.AsyncClient, store: Store) -> RemoteWorker:
    """A worker with the key of a user, who may look at itself."""
    return RemoteWorker(http, await with_key(store, "owner", Scope.READ, Scope.WORKER))


async def get(http: httpx.AsyncClient, path: str, key: dict[str, str] = ANONYMOUS) -> Any:
    return _json(await http.get(f"/api/v2/{path}", headers=key), 200)


async def test_a_requester_of_images(owner: RemoteWorker, requester: Requester) -> None:
    request = (await requester.ask("generate/async", ASKED))["id"]
    checked = await requester.get(f"generate/check/{request}")
    assert not checked["done"]
    job = await owner.pop()
    await owner.put(job)
    await owner.submit(job)

    async def done() -> bool:
        return bool((await requester.get(f"generate/check/{request}"))["done"])

    await eventually(done, within=5)
    (made,) = (await requester.get(f"generate/status/{request}"))["generations"]

    assert (await owner.http.get(made["img"])).content == WEBP
    assert all(type(made[each]) is str for each in ("id", "img", "seed", "model", "worker_id"))
    assert (await requester.delete(f"generate/status/{request}"))["done"]


async def test_a_requester_of_text_asks_its_status_until_there_is_one(
    owner: RemoteWorker, requester: Requester
) -> None:
    request = (await requester.ask("generate/text/async", ASKED))["id"]
    assert (await requester.get(f"generate/text/status/{request}"))["generations"] == []
    job = await owner.pop(path="generate/text/pop")
    body = {"id": job["id"], "generation": " ran", "state": "ok"}
    await owner.post("generate/text/submit", body)

    async def written() -> Any:
        return (await requester.get(f"generate/text/status/{request}"))["generations"]

    (made,) = await eventually(written, within=5)

    assert (made["text"], made["state"], type(made["seed"])) == (" ran", "ok", int)


async def test_the_sdks_own_worker(owner: RemoteWorker, requester: Requester) -> None:
    empty = await owner.pop()
    await requester.ask("generate/async", ASKED)
    job = await owner.pop()
    await owner.put(job)
    handed_in = await owner.submit(job)

    assert empty == {"id": None, "ids": [], "payload": {}, "skipped": {}}
    assert type(job["skipped"]) is dict
    assert type(job["payload"]["seed"]) is str
    assert type(handed_in["reward"]) in {int, float}


async def test_regen_with_a_source_image_and_a_batch(
    owner: RemoteWorker, requester: Requester
) -> None:
    await owner.pop()  # registers it
    me = await get(owner.http, f"workers/name/{owner.name}", owner.key)
    assert await owner.change(me["id"], {"maintenance": False}) == {"maintenance": False}
    user = await get(owner.http, "find_user", owner.key)
    assert type(user["username"]) is str
    source = base64.b64encode(PNG).decode()
    await requester.ask(
        "generate/async", {**ASKED, "params": {"n": 2, "seed": "7"}, "source_image": source}
    )

    job = await owner.pop(amount=2)
    assert (await owner.http.get(job["source_image"])).content == PNG
    for claim, upload in zip(job["ids"], job["r2_uploads"], strict=True):
        await owner.put({"r2_upload": upload})
        await owner.submit({"id": claim})

    assert job["source_processing"] == "img2img"
    again = await owner.submit({"id": job["ids"][0]}, 400)
    assert "already submitted" in again["message"]
    unknown = await owner.submit({"id": "0" * 32}, 404)
    assert "Processing Job with ID" in unknown["message"]
    assert "does not exist" in unknown["message"]


async def test_koboldcpp(owner: RemoteWorker, requester: Requester) -> None:
    params = {"max_length": 40, "max_context_length": 512}
    await requester.ask("generate/text/async", {**ASKED, "params": params})
    asked: dict[str, Any] = {
        "max_length": 512,
        "max_context_length": 2048,
        "softprompts": [],
        "bridge_agent": "k:1:x",
    }

    job = await owner.pop(path="generate/text/pop", **asked)
    assert {name: job["payload"][name] for name in params} == params
    body = {"id": job["id"], "generation": " a tale", "state": "ok"}
    rewarded = await owner.post("generate/text/submit", body)

    assert rewarded["reward"] > 0
    assert (await owner.pop(path="generate/text/pop", **asked))["id"] is None


async def test_sillytavern(owner: RemoteWorker, requester: Requester) -> None:
    http = owner.http
    await owner.pop(path="generate/text/pop")
    assert type((await get(http, "status/heartbeat"))["version"]) is str
    (listed,) = await get(http, "workers?type=text")
    assert (listed["name"], listed["models"]) == (owner.name, [REMOTE_MODEL])
    models = await get(http, "status/models?type=text")
    assert {"name", "count", "queued", "eta", "type"} <= models[0].keys()

    text = (await requester.ask("generate/text/async", ASKED))["id"]
    assert (await requester.get(f"generate/text/status/{text}"))["is_possible"]
    assert (await requester.delete(f"generate/text/status/{text}"))["done"]
    assert (await get(http, "find_user"))["username"] == "Anonymous#0"

    drawer = RemoteWorker(http, owner.key, name="another drawer")
    image = (await requester.ask("generate/async", {**ASKED, "r2": False}))["id"]
    job = await drawer.pop()
    await drawer.put(job)
    await drawer.submit(job)

    async def drawn() -> Any:
        return (await requester.get(f"generate/status/{image}"))["generations"]

    (made,) = await eventually(drawn, within=5)
    assert base64.b64decode(made["img"]) == WEBP

    forms = {"forms": [{"name": "caption"}], "source_image": base64.b64encode(PNG).decode()}
    described = (await requester.ask("interrogate/async", forms))["id"]
    status = await requester.get(f"interrogate/status/{described}")
    assert status == {"state": "waiting", "forms": [{"form": "caption", "state": "waiting"}]}
