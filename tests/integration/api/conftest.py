"""An api on real stores, in a thread of its own: what schemathesis does waits in no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest

from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.adapters.tickets.inprocess.tickets import InProcessTickets
from headrace.api.auth import Keys, digest_of
from headrace.api.deps import ApiDeps, Limits
from headrace.api.presence import Presence
from headrace.api.role import Api
from headrace.api.signed import SignedLinks
from headrace.api.steering import Steering
from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.announce import announcement
from headrace.core.job import Event, Job, advance
from headrace.core.keyring import Keyring
from headrace.core.lookup import Lookup
from headrace.core.ports.blobs import Blob
from headrace.core.ports.keys import Scope
from headrace.core.ports.paths import DISTRIBUTED
from headrace.core.ports.store import Change
from headrace.core.roll import Roll
from headrace.core.rollout import Basis
from headrace.testkit.apps import create_app
from headrace.testkit.builders import an_api_key
from headrace.testkit.infra import fresh_database, fresh_prefix

# Red's and the looker's are kept in the store, blue's and the operators' come from the environment.
RED, BLUE, LOOKER, OPERATOR = (
    {"apikey": f"key-of-{who}"} for who in ("red", "blue", "lookers", "operators")
)
ANYTHING = EngineCard(
    lane=Lane("echo"), kind="text", models=["echo"], input_schema={"type": "object"}
)
# Somebody does these, since OpenAI's clients wait for what they asked.
DONE = [
    EngineCard(lane=Lane(kind), kind=kind, models=[f"a-{kind}"], input_schema={"type": "object"})
    for kind in ("text", "embedding", "image")
]
LIMITS = Limits(
    head_s=1.0, body_s=2.0, authorization_s=0.5, send_s=2.0, ping_s=0.5, subscriptions=8, answer_s=8
)


@dataclass(frozen=True)
class Door:
    """Where the api is, and what is behind it, in the loop that serves it."""

    address: str
    loop: asyncio.AbstractEventLoop
    store: SqlStore
    streams: RedisStreams

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def do(self, what: Coroutine[Any, Any, object]) -> object:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(timeout=10)


async def serve(
    folder: Path, servers: tuple[str, str], ready: Future[Door], stop: asyncio.Event
) -> None:
    postgres, redis = servers
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres))
        prefix = await stack.enter_async_context(fresh_prefix(redis))
        await migrate(database)
        store = await stack.enter_async_context(open_sql_store(database))
        streams = await stack.enter_async_context(open_redis_streams(redis, prefix=prefix))
        async with store.begin() as tx:
            await tx.announce_engines([ANYTHING, *DONE])
            for key, scopes, who in (
                (RED, (Scope.SUBMIT, Scope.MODELS), "red"),
                (LOOKER, (Scope.ADMIN_READ,), "ops"),
            ):
                await tx.insert_key(
                    an_api_key(*scopes, tenant=TenantId(who)), digest_of(key["apikey"])
                )
        asked: asyncio.Queue[Job] = asyncio.Queue()
        blobs = await stack.enter_async_context(open_file_blobs(folder / "blobs"))
        deps = ApiDeps(
            store=store,
            lookup=Lookup(store),
            roll=Roll(store, new_id=lambda: str(uuid4())),
            streams=streams,
            blobs=blobs,
            signed=SignedLinks(store, blobs),
            tickets=InProcessTickets(),
            presence=Presence(store),
            steering=Steering(store, Basis(default=DISTRIBUTED)),
            new_id=lambda: str(uuid4()),
            auth=Keys({"blue": BLUE["apikey"]}, anonymous=None, ring=Keyring(store)),
            admin_key=OPERATOR["apikey"],
            outside=True,
            limits=LIMITS,
            on_submitted=lambda submitted: asked.put_nowait(submitted.job),
        )
        role = Api(create_app(deps), host="127.0.0.1", port=0, grace_s=2)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(role.serve(stop))
            doing = group.create_task(do_all(deps, asked))
            serving.add_done_callback(lambda _: doing.cancel())
            await role.bound.wait()
            address = f"{role.host}:{role.port}"
            ready.set_result(Door(address, asyncio.get_running_loop(), store, streams))


async def do_all(deps: ApiDeps, asked: asyncio.Queue[Job]) -> None:
    """Each job of a lane that somebody serves, at once."""
    picture = Blob("image/png", b"\x89PNG")
    while True:
        job = await asked.get()
        if job.lane not in {card.lane for card in DONE}:
            continue
        blob = await deps.blobs.put(job.tenant, picture)
        output = {
            "text": "soup",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
            "embeddings": [[0.5]] * len(job.spec.input.get("texts", [])),
            "image": {"blob": blob},
        }
        running = advance(job, Event.GRANTED)[1]
        change = (
            Change(job, running),
            Change(running, replace(advance(running, Event.FINISHED)[1], output=output)),
        )
        async with deps.store.begin() as tx:
            if not all([await tx.save([each]) for each in change]):
                continue
        await deps.streams.append([announcement(change[1])])


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str
) -> Iterator[Door]:
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), Future[Door]()
    folder = tmp_path_factory.mktemp("api")
    serving = serve(folder, (postgres_url, redis_url), ready, stop)
    thread = threading.Thread(target=loop.run_until_complete, args=(serving,))
    thread.start()
    yield ready.result(timeout=30)
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=20)
    loop.close()


@pytest.fixture
def red(door: Door) -> Generator[httpx.Client]:
    with httpx.Client(base_url=door.url, headers=RED, timeout=10) as client:
        yield client


@pytest.fixture
def blue(door: Door) -> Generator[httpx.Client]:
    with httpx.Client(base_url=door.url, headers=BLUE, timeout=10) as client:
        yield client
