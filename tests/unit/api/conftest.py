"""An api over a real SQLite file and in-process streams, and someone to play the other services."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest
from fastapi import FastAPI

from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.adapters.store.sql import migrate, open_sql_store
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.adapters.tickets.inprocess.tickets import InProcessTickets
from headrace.api.auth import Keys, digest_of
from headrace.api.deps import ApiDeps, Limits
from headrace.api.presence import Presence
from headrace.api.role import Api
from headrace.api.signed import SignedLinks
from headrace.api.steering import Steering
from headrace.contracts.frames import Frame, Queued, Started, encode_frame, frame_type
from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import EngineCard, Stages
from headrace.core.announce import announcement
from headrace.core.job import Event, Job, advance
from headrace.core.keyring import Keyring
from headrace.core.lookup import Lookup
from headrace.core.ports.keys import Scope
from headrace.core.ports.store import AttemptEnd, Change, Store
from headrace.core.ports.streams import Batch, Streams
from headrace.core.roll import Roll
from headrace.core.rollout import Basis
from headrace.testkit.apps import create_app
from headrace.testkit.builders import an_api_key

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
ECHO = EngineCard(
    lane=Lane("echo"),
    kind="echo",
    models=["echo-1", "echo-2"],
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}, "times": {"type": "integer", "minimum": 1}},
        "required": ["text"],
        "additionalProperties": False,
    },
    title="Says it again",
)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def store(tmp_path: Path, database: Path) -> AsyncGenerator[Store]:
    shutil.copy(database, tmp_path / "jobs.sqlite3")
    async with open_sql_store(f"sqlite:///{tmp_path}/jobs.sqlite3") as store:
        async with store.begin() as tx:
            await tx.announce_engines([ECHO])
        yield store


@pytest.fixture
def streams() -> InProcessStreams:
    return InProcessStreams()


@pytest.fixture
async def deps(store: Store, streams: InProcessStreams, tmp_path: Path) -> AsyncGenerator[ApiDeps]:
    async with open_file_blobs(tmp_path / "blobs") as blobs:
        yield ApiDeps(
            store=store,
            lookup=Lookup(store),
            roll=Roll(store, new_id=lambda: str(uuid4())),
            streams=streams,
            blobs=blobs,
            signed=SignedLinks(store, blobs),
            tickets=InProcessTickets(),
            presence=Presence(store),
            steering=Steering(store, Basis()),
            new_id=lambda: str(uuid4()),
            auth=Keys(
                {"red": RED["apikey"], "blue": BLUE["apikey"]},
                anonymous="anyone",
                ring=Keyring(store),
            ),
            limits=Limits(job_bytes=4096, blob_bytes=8192, subscriptions=2, ping_s=0.05),
            version="1.2.3",
        )


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(deps)


@pytest.fixture
async def http(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        yield client


@dataclass(frozen=True)
class Running:
    """A server on a real port; `stop` begins its end."""

    role: Api
    stop: asyncio.Event

    @property
    def address(self) -> str:
        return f"{self.role.host}:{self.role.port}"


@pytest.fixture
async def server(app: FastAPI) -> AsyncGenerator[Running]:
    # A fixture may be torn down in another task than it was set up in; a TaskGroup may not.
    role, stop = Api(app, host="127.0.0.1", port=0, grace_s=2), asyncio.Event()
    task = asyncio.get_running_loop().create_task(role.serve(stop))
    await role.bound.wait()
    yield Running(role, stop)
    stop.set()
    await task


@pytest.fixture
async def live(server: Running) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{server.address}", timeout=10) as client:
        yield client


class Backstage:
    """Plays dispatcher and worker: moves jobs in the store, then tells the watchers."""

    def __init__(self, store: Store, streams: Streams) -> None:
        self._store, self._streams = store, streams

    async def start(self, job: str) -> None:
        """Queued (0-1), then started (1-1)."""
        queued = Queued()
        said = [(frame_type(queued), encode_frame(queued))]
        await self._streams.append([Batch(JobId(job), 0, said, first_seq=1)])
        async with self._store.begin() as tx:
            before = (await tx.load([JobId(job)]))[JobId(job)]
            after = replace(advance(before, Event.GRANTED)[1], worker=WorkerId("w1"))
            assert await tx.save([Change(before, after)]) == [True]
            await tx.open_attempts([after])
        await self.say(job, Started(worker="w1", attempt=after.attempt))

    async def say(self, job: str, *frames: Frame) -> None:
        async with self._store.begin() as tx:
            epoch = (await tx.load([JobId(job)]))[JobId(job)].epoch
        said = [(frame_type(frame), encode_frame(frame)) for frame in frames]
        await self._streams.append([Batch(JobId(job), epoch, said)])

    async def finish(self, job: str, output: dict[str, Any]) -> None:
        await self._end(job, Event.FINISHED, "succeeded", output=output)

    async def fail(self, job: str, error: dict[str, Any]) -> None:
        await self._end(job, Event.FAILED, "failed", error=error)

    async def cancel(self, job: str) -> None:
        await self._end(job, Event.CANCEL_ASKED, "cancelled")

    async def _end(self, job: str, event: Event, outcome: str, **found: Any) -> None:
        async with self._store.begin() as tx:
            before: Job = (await tx.load([JobId(job)]))[JobId(job)]
            change = Change(before, replace(advance(before, event)[1], **found))
            assert await tx.save([change]) == [True]
            end = AttemptEnd(
                JobId(job), before.attempt, outcome, found.get("error"), Stages(run_s=1.5)
            )
            await tx.close_attempts([end])
        await self._streams.append([announcement(change)])


@pytest.fixture
def backstage(store: Store, streams: InProcessStreams) -> Backstage:
    return Backstage(store, streams)


MakeKey: TypeAlias = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
def keyed(store: Store) -> MakeKey:
    """Keeps a key of tenant `red` with these scopes in the store; the headers that show it."""

    async def keep(*scopes: str, **fields: Any) -> dict[str, str]:
        key = an_api_key(*map(Scope, scopes), **{"tenant": TenantId("red"), **fields})
        async with store.begin() as tx:
            await tx.insert_key(key, digest_of(f"secret of {key.id}"))
        return {"apikey": f"secret of {key.id}"}

    return keep


@pytest.fixture
async def submitted(store: Store, deps: ApiDeps, http: httpx.AsyncClient) -> str:
    """The id of a job of tenant `red`."""
    answer = await http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=RED)
    return str(answer.json()["id"])
