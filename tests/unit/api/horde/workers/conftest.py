"""The api with a dispatcher behind it, and remote workers that speak the protocol strictly."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest
from tests.unit.api.horde.conftest import Requester, _json

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.api.auth import Keys, digest_of
from headrace.api.deps import ApiDeps
from headrace.api.remote_desk import RemoteDesk
from headrace.contracts.ids import TenantId
from headrace.core.keyring import Keyring
from headrace.core.ports.keys import Scope
from headrace.core.ports.store import Store
from headrace.core.ports.users import ANONYMOUS_TENANT
from headrace.testkit.apps import create_app
from headrace.testkit.background import served
from headrace.testkit.builders import an_api_key
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.unruly import UnrulyStore

WEBP = b"RIFF\x10\x00\x00\x00WEBP-and-the-rest"
REMOTE_MODEL = "a-model-of-nobody-here"
ASKED = {"prompt": "a red fox", "models": [REMOTE_MODEL], "nsfw": False}


@pytest.fixture
def house(store: Store, streams: InProcessStreams) -> House:
    return House(UnrulyStore(store), InProcessBus(TOPOLOGY), streams)


@pytest.fixture
def deps(deps: ApiDeps, house: House) -> ApiDeps:
    desk = RemoteDesk(lambda: nullcontext(house.bus), TOPOLOGY, new_id=lambda: str(uuid4()))
    limits = replace(deps.limits, long_poll_s=4.0, remote_ttl_s=30.0, job_bytes=1 << 16)
    auth = Keys({}, anonymous=ANONYMOUS_TENANT, ring=Keyring(house.store))
    return replace(deps, desk=desk, limits=limits, auth=auth)


@pytest.fixture
async def http(deps: ApiDeps, house: House) -> AsyncGenerator[httpx.AsyncClient]:
    """A dispatcher, and the api's desk, are running."""
    app = create_app(deps)
    assert deps.desk is not None

    async def speak(stop: Any) -> None:
        desk = deps.desk
        assert desk is not None
        await desk.run_until(stop)

    # No lease is judged within one of these after the dispatcher began.
    async with house.dispatching(lease=timedelta(seconds=0.5)), served(speak):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://headrace", timeout=20
        ) as client:
            yield client


@dataclass
class RemoteWorker:
    """Any worker of the protocol: it pops, works and hands in."""

    http: httpx.AsyncClient
    key: dict[str, str]
    name: str = "drawer"
    models: list[str] = field(default_factory=lambda: [REMOTE_MODEL])

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = await self.http.post(f"/api/v2/{path}", json=body, headers=self.key)
        return _json(answer, status)

    async def pop(self, status: int = 200, path: str = "generate/pop", **more: Any) -> Any:
        body = {"name": self.name, "models": self.models, "max_pixels": 1 << 20, **more}
        return await self.post(path, body, status)

    async def put(self, job: dict[str, Any], data: bytes = WEBP) -> None:
        """As the protocol's workers do: raw, without a content type."""
        request = self.http.build_request("PUT", job["r2_upload"], content=data)
        request.headers.pop("content-type", None)
        answer = await self.http.send(request)
        assert (answer.status_code, answer.content) == (200, b"")

    async def submit(self, job: Any, status: int = 200, **more: Any) -> Any:
        body = {"id": job["id"], "generation": "R2", "state": "ok", "seed": 7, **more}
        return await self.post("generate/submit", body, status)

    async def change(self, worker: str, body: Any, status: int = 200) -> Any:
        path = f"/api/v2/workers/{worker}"
        return _json(await self.http.put(path, json=body, headers=self.key), status)

    async def me(self) -> Any:
        return _json(await self.http.get(f"/api/v2/workers/name/{self.name}"), 200)


async def with_key(store: Store, tenant: str, *scopes: Scope) -> dict[str, str]:
    key = f"key-of-{tenant}-{'-'.join(scopes)}"
    async with store.begin() as tx:
        await tx.insert_key(an_api_key(*scopes, tenant=TenantId(tenant)), digest_of(key))
    return {"apikey": key}


@pytest.fixture
async def worker(http: httpx.AsyncClient, store: Store) -> RemoteWorker:
    return RemoteWorker(http, await with_key(store, "owner", Scope.WORKER))


@pytest.fixture
async def stranger(http: httpx.AsyncClient, store: Store) -> RemoteWorker:
    key = await with_key(store, "stranger", Scope.WORKER)
    return RemoteWorker(http, key, name="another")


@pytest.fixture
def requester(http: httpx.AsyncClient) -> Requester:
    return Requester(http, {"apikey": "0000000000"})
