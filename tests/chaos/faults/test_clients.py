"""What clients do to us: repeat themselves, change their minds, come all at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pytest

from headrace.testkit.chaos.handles import lasting
from headrace.testkit.chaos.rig import House, rig
from headrace.testkit.system import ROLES

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(150)]


async def test_fault_4_a_request_repeated_in_parallel(house: House, tmp_path: Path) -> None:
    """20 copies at once, three times."""
    async with rig(house, tmp_path) as here:
        for _ in range(3):
            await here.crowd.submit_at_once(copies=20)

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 3


@pytest.mark.full
async def test_fault_5_a_key_used_for_something_else(house: House, tmp_path: Path) -> None:
    """Another body is refused with 422; another tenant's same key makes a job of its own."""
    async with rig(house, tmp_path, env={"API_KEYS": "a:first,b:second"}) as here:
        here.ledger.write("intent", key="k")
        async with httpx.AsyncClient(base_url=here.system.url, trust_env=False) as http:

            async def ask(tenant_key: str, words: int) -> httpx.Response:
                body = {"kind": "ledger", "input": {"key": "k", "words": words}}
                headers = {"apikey": tenant_key, "Idempotency-Key": "same"}
                return await http.post("/jobs", json=body, headers=headers)

            first, repeated = await ask("first", 1), await ask("first", 1)
            changed, others = await ask("first", 2), await ask("second", 1)
        await here.drained()

    assert (first.status_code, changed.status_code, others.status_code) == (202, 422, 202)
    assert repeated.json()["id"] == first.json()["id"] != others.json()["id"]


@pytest.mark.full
async def test_fault_6_a_request_repeated_much_later(house: House, tmp_path: Path) -> None:
    """The key's row is made 1 h and 23 h old in the database."""
    async with rig(house, tmp_path) as here:
        await here.crowd.submit_at_once(copies=1)
        for hours in (1, 23):
            connection = await asyncpg.connect(here.urls["postgres"])
            await connection.execute(
                "UPDATE idempotency_keys SET created_at = clock_timestamp() - $1 * interval '1 h'",
                hours,
            )
            await connection.close()
            await here.crowd.repeat("k1")

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 1


async def test_fault_72_a_storm_of_cancels(house: House, tmp_path: Path) -> None:
    """Before the claim, at it, mid-token, at the end, after it; one job 50 times at once."""
    async with rig(house, tmp_path) as here:
        running = await here.crowd.submit(words=100, delay_s=0.03)
        here.watch(running)
        await here.started()
        for wait_s in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
            job = await here.crowd.submit(words=5, delay_s=0.05)
            here.watch(job)
            await lasting(wait_s)
            await here.crowd.cancel(job)
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(here.crowd.cancel(running))
        await here.drained()
        for job in list(here.crowd.jobs.values()):
            await here.crowd.cancel(job)

        judgement = await here.quiet(cancel_s=4.0)

    assert judgement.counts["ended"] == 8


@pytest.mark.full
@pytest.mark.timeout(300)  # a thousand clients take their time
async def test_fault_71_many_watchers_come_back_at_once(house: House, tmp_path: Path) -> None:
    """1,000 streams cut by a killed api and resumed together, 100 that never read."""
    # 1,100 clients starve this process, and what they watch is not to suffer for it: it gets a long
    # lease, and its servers without the proxies, which live in this process too.
    async with rig(house, tmp_path, env={"LEASE_S": "30"}) as here:
        straight = {
            "RABBITMQ_URL": here.urls["rabbitmq"],
            "REDIS_URL": here.urls["redis"],
            "DATABASE_URL": here.urls["postgres"],
        }
        for role in ROLES:
            await here.replace(role, **straight)
        await here.system.ready()
        jobs = await here.crowd.submit_many(5, words=20, delay_s=0.5)
        for number in range(1000):
            here.watch(jobs[number % 5])
        deaf = [await asyncio.open_connection("127.0.0.1", here.system.port) for _ in range(100)]
        for _, writer in deaf:
            writer.write(f"GET /jobs/{jobs[0]}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await here.started(2)
        await here.replace("api", **straight)
        await here.watched(1000, within=120)

        judgement = await here.quiet()
        for _, writer in deaf:
            writer.close()

    assert judgement.counts["transcripts"] == 1000
