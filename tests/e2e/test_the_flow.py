"""One job through every part, seen at each: HTTP, the queue, the worker, the row, the WebSocket.

It runs on whatever servers are found, also on those of docker-compose.test.yml (docs/load.md).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import httpx
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue

from headrace.adapters.bus.rabbitmq import open_rabbit_bus
from headrace.contracts.frames import Progress, Token
from headrace.contracts.ids import JobId, Lane
from headrace.contracts.messages import Offer, decode
from headrace.contracts.topology import Topology
from headrace.engines.echo.engine import EchoEngine
from headrace.engines.registry import card
from headrace.testkit.client import Seen, User, text_of
from headrace.testkit.scripted_worker import ScriptedWorker, scripted_worker
from headrace.testkit.system import System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]

ECHO = Lane("echo")
SAID = " ".join(f"word-{number}" for number in range(30))
SLOWLY = {"text": SAID, "delay_s": 0.1}  # three seconds: long enough to be looked at while it runs
SOON_S = 30.0


@dataclass(frozen=True, slots=True)
class Flow:
    """The parts that a test may look into past every service."""

    system: System
    user: User
    channel: AbstractChannel
    rows: asyncpg.Connection
    announcer: ScriptedWorker

    @property
    def topology(self) -> Topology:
        return Topology(self.system.env["NAMESPACE"])

    async def queue(self) -> AbstractQueue:
        """The offers of the lane; it is asked for, and never made here."""
        return await self.channel.declare_queue(self.topology.work(ECHO), passive=True)

    async def depth(self) -> int:
        return (await self.queue()).declaration_result.message_count or 0

    async def row(self, job: Any) -> asyncpg.Record:
        found = await self.rows.fetchrow("SELECT * FROM jobs WHERE id = $1", job["id"])
        assert found is not None
        return found

    async def announce(self) -> None:
        """There is an engine, says a worker that takes nothing."""
        await self.announcer.hello(card(ECHO, EchoEngine))


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncGenerator[Flow]:
    """An api and a dispatcher; the worker is yet to come."""
    async with running("EDA", tmp_path, kinds=0, roles=("api", "dispatcher")) as system:
        url, topology = system.env["RABBITMQ_URL"], Topology(system.env["NAMESPACE"])
        rows = await asyncpg.connect(system.env["DATABASE_URL"])
        async with (
            httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
            await aio_pika.connect(url) as connection,
            open_rabbit_bus(url, topology=topology, connection_name="test") as bus,
            scripted_worker(bus, topology, "announcer") as announcer,
        ):
            channel = await connection.channel()
            yield Flow(system, User(http, door="ws"), channel, rows, announcer)
        await rows.close()


async def test_a_job_passes_through_every_part_in_order(flow: Flow) -> None:
    await is_offered(flow)
    job = await accepted(flow)
    async with aclosing(flow.user.frames(job, within=120)) as frames:
        seen = [await anext(frames)]
        assert seen[0].type == "queued"
        await lies_in_its_queue(flow, job)
        await is_taken_by_a_worker(flow, job)
        await is_told_of_while_it_runs(flow, job, frames, seen)
        seen += [each async for each in frames]
    await is_kept_as_it_was_told(flow, job, seen)


async def is_offered(flow: Flow) -> None:
    async def known() -> bool:
        await flow.announce()
        return [each["kind"] for each in (await flow.user.http.get("/models")).json()] == ["echo"]

    await eventually(known, within=SOON_S, every=0.2)


async def accepted(flow: Flow) -> Any:
    answer = await flow.user.http.post("/jobs", json={"kind": "echo", "input": SLOWLY})

    assert answer.status_code == 202
    row = await flow.row(answer.json())
    assert (row["state"], row["attempt"], row["output"]) == ("queued", 0, None)
    return answer.json()


async def lies_in_its_queue(flow: Flow, job: Any) -> None:
    """One message, of ids alone; looked at, and put back."""

    async def offered() -> bool:
        await flow.announce()  # a worker that is not heard of is offered nothing
        return await flow.depth() == 1

    await eventually(offered, within=SOON_S, every=0.2)
    message = await (await flow.queue()).get()
    assert message is not None
    offer = decode(message.body)
    await message.reject(requeue=True)

    assert isinstance(offer, Offer)
    assert (offer.job, offer.lane) == (JobId(job["id"]), ECHO)
    assert b"word-" not in message.body
    assert (await flow.row(job))["state"] == "queued"


async def is_taken_by_a_worker(flow: Flow, job: Any) -> None:
    await flow.announcer.goodbye()
    await flow.system.start("gpu-worker")

    async def runs() -> bool:
        row = await flow.row(job)
        return (row["state"], row["attempt"]) == ("running", 1) and row["lease_until"] is not None

    await eventually(runs, within=SOON_S, every=0.05)
    assert await flow.depth() == 0


async def is_told_of_while_it_runs(
    flow: Flow, job: Any, frames: AsyncGenerator[Seen], seen: list[Seen]
) -> None:
    """Progress reaches the WebSocket before the job has ended."""
    while len(fractions(seen)) < 5:
        seen.append(await anext(frames))

    assert (await flow.row(job))["state"] == "running"
    assert [each.type for each in seen][:2] == ["queued", "started"]
    assert fractions(seen) == sorted(fractions(seen))
    assert fractions(seen)[-1] < 1
    assert any(isinstance(each.frame, Token) for each in seen)


async def is_kept_as_it_was_told(flow: Flow, job: Any, seen: list[Seen]) -> None:
    row = await flow.row(job)
    attempts = await flow.rows.fetch("SELECT outcome FROM attempts WHERE job = $1", job["id"])

    assert seen[-1].type == row["state"] == "succeeded"
    assert msgspec.json.decode(row["output"])["text"] == text_of(seen) == SAID
    assert [each["outcome"] for each in attempts] == ["succeeded"]
    assert fractions(seen)[-1] == 1
    assert await flow.depth() == 0


def fractions(seen: list[Seen]) -> list[float]:
    return [
        each.frame.fraction
        for each in seen
        if isinstance(each.frame, Progress) and each.frame.fraction is not None
    ]
