"""A store, a job that has ended and asked to be told, and the real way out to a receiver."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from headrace.adapters.receivers.http.receivers import HttpReceivers, Limits, open_http_receivers
from headrace.adapters.store.sql import migrate, open_sql_store
from headrace.core.job import Event, Job, Webhook, advance
from headrace.core.ports.receivers import Receivers
from headrace.core.ports.store import Change, NewJob, Store
from headrace.core.ports.webhooks import Call, CallQuery, Endpoint
from headrace.core.usecases.call_receivers import Pool, Room, note_answer, take_calls
from headrace.core.webhook_signing import secret_of
from headrace.testkit.builders import a_job, an_endpoint
from headrace.testkit.later import LaterStore
from headrace.testkit.receivers import LOOPBACK

SECRET = secret_of(b"s" * 32)
QUICK = Limits(connect_s=0.5, whole_s=0.5, drain_s=0.2)
LEASE = timedelta(seconds=60)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def store(tmp_path: Path, database: Path) -> AsyncGenerator[LaterStore]:
    shutil.copy(database, tmp_path / "jobs.sqlite3")
    async with open_sql_store(f"sqlite:///{tmp_path}/jobs.sqlite3") as store:
        yield LaterStore(store)


@pytest.fixture
async def receivers() -> AsyncGenerator[HttpReceivers]:
    async with open_http_receivers(LOOPBACK, limits=QUICK) as receivers:
        yield receivers


@dataclass
class Calls:
    """What a dispatcher does about webhooks, a step at a time."""

    store: LaterStore
    receivers: Receivers
    pool: Pool = field(default_factory=Pool)
    random: Random = field(default_factory=lambda: Random(7))

    async def make_due(self) -> list[Call]:
        """Those that are due now, one after another; as they are then."""
        taken = await take_calls(
            self.store, Room(self.pool), after=None, lease=LEASE, new_secret=lambda: SECRET
        )
        made = list(taken.dropped)
        for each in taken.outgoing:
            body = each.call.body.encode()
            answer = await self.receivers.post(each.url, each.headers, body)
            made.append(await note_answer(self.store, each, answer, random=self.random))
        return made

    async def pass_to(self, call: Call) -> None:
        """The time comes at which a call is due."""
        async with self.store.begin() as tx:
            now = await tx.now()
        assert call.next_at is not None
        self.store.by += max(call.next_at - now, timedelta(0)) + timedelta(milliseconds=10)


@pytest.fixture
def calls(store: LaterStore, receivers: HttpReceivers) -> Calls:
    return Calls(store, receivers)


async def end_a_job(store: Store, **fields: Any) -> Job:
    """It succeeds; whoever is to be told has a call then."""
    job = a_job(**fields)
    async with store.begin() as tx:
        await tx.insert([NewJob(job)])
    for event in (Event.GRANTED, Event.FINISHED):
        async with store.begin() as tx:
            before = (await tx.load([job.id]))[job.id]
            after = replace(advance(before, event)[1], output={"text": "hello"})
            assert await tx.save([Change(before, after)]) == [True]
            job = after
    return job


async def end_for(store: Store, url: str, **fields: Any) -> Job:
    return await end_a_job(store, webhook=Webhook(url), **fields)


async def subscribe(store: Store, url: str, **fields: Any) -> Endpoint:
    async with store.begin() as tx:
        return await tx.insert_endpoint(an_endpoint(url=url, **fields))


async def calls_about(store: Store, job: Job) -> list[Call]:
    async with store.begin() as tx:
        return await tx.calls(CallQuery(job=job.id))
