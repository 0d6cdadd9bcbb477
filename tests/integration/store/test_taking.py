"""Remote workers and workers of ours, all at once: each job is had once, whoever asks how often."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import ClaimId, JobId, TenantId, WorkerId
from headrace.contracts.messages import Claim, Grant, Skill, Take
from headrace.core.ports.store import Created, Terms
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.claim import claim
from headrace.core.usecases.take import take
from headrace.core.wants import Wants, written
from headrace.testkit.builders import a_new_job
from headrace.testkit.deciding import LANE, LEASE, PATH

DRAW = written(Wants("image", ("model",)))
SKILL = Skill("image", ["model"])


async def put(store: SqlStore, count: int, tenant: str = "tenant") -> list[JobId]:
    news = [a_new_job(lane=LANE, wants=DRAW, tenant=TenantId(tenant)) for _ in range(count)]
    async with store.begin() as tx:
        answers = await tx.insert(news)
    return [answer.job.id for answer in answers if isinstance(answer, Created)]


async def taken(store: SqlStore, id_: str, worker: str = "remote") -> JobId | None:
    """By a dispatcher of its own."""
    turns: defaultdict[str, Turns] = defaultdict(Turns)
    asked = Take(ClaimId(id_), SKILL, lease_s=150.0)
    found = await take(store, WorkerId(worker), asked, paths=[PATH], turns=turns)
    return None if found.answer.grant is None else found.answer.grant.job


async def claimed(store: SqlStore, job: JobId) -> JobId | None:
    asked = Claim(ClaimId(f"own-{job}"), job, 0)
    (answer,) = (await claim(store, WorkerId("own"), [asked], lease=LEASE)).answers
    return answer.job if isinstance(answer, Grant) else None


async def test_each_job_is_had_once_by_either_side(store: SqlStore) -> None:
    jobs = await put(store, 20)

    async with asyncio.TaskGroup() as group:
        takes = [group.create_task(taken(store, f"take-{n}", f"remote-{n}")) for n in range(20)]
        claims = [group.create_task(claimed(store, job)) for job in jobs]

    had = [task.result() for task in [*takes, *claims]]
    assert Counter(job for job in had if job is not None) == Counter(jobs)


async def test_the_same_take_heard_by_many_dispatchers_is_one_job(store: SqlStore) -> None:
    await put(store, 10)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(taken(store, "the-same")) for _ in range(6)]

    had = {task.result() for task in tasks}
    assert len(had) == 1
    assert None not in had


async def test_a_cap_holds_against_many_at_once(store: SqlStore) -> None:
    await put(store, 10, "capped")
    async with store.begin() as tx:
        await tx.set_terms(TenantId("capped"), Terms(max_running=3))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(taken(store, f"take-{n}", f"remote-{n}")) for n in range(10)]

    assert sum(task.result() is not None for task in tasks) == 3
