"""Steps towards a decision: jobs in a store, and what workers say about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final, Literal

from headrace.contracts.ids import ClaimId, JobId, Lane, WorkerId
from headrace.contracts.messages import (
    Claim,
    EngineCard,
    Grant,
    JobError,
    Message,
    Offer,
    Result,
    Vitals,
    WarmModel,
    decode,
)
from headrace.core.job import Job
from headrace.core.ports.bus import Bus
from headrace.core.ports.dead_letters import LetterQuery, Parked
from headrace.core.ports.store import AttemptRecord, Created, Store, Waiting
from headrace.core.ports.streams import Batch
from headrace.core.retry import ErrorKind, RetryPolicy
from headrace.core.usecases.claim import claim
from headrace.testkit.builders import a_new_job

PATH: Final = "local"
LANE: Final = Lane("echo")
WORKER: Final = WorkerId("worker-1")
LEASE: Final = timedelta(seconds=30)
OVER: Final = timedelta(seconds=-30)  # a lease that has run out when it is given
POLICY: Final = RetryPolicy()
ANY: Final = Random(1)  # where chance does not matter
ECHO: Final = EngineCard(lane=LANE, kind="echo", models=["small", "large"], input_schema={})


async def put(store: Store, **fields: Any) -> Job:
    """A new job, as the store has it."""
    async with store.begin() as tx:
        (answer,) = await tx.insert([a_new_job(**fields)])
    assert isinstance(answer, Created)
    return answer.job


async def read(store: Store, job: JobId) -> Job:
    async with store.begin() as tx:
        return (await tx.load([job]))[job]


async def history(store: Store, job: JobId) -> list[AttemptRecord]:
    async with store.begin() as tx:
        return await tx.attempts(job)


async def parked_letters(store: Store, **query: Any) -> list[Parked]:
    async with store.begin() as tx:
        listed = await tx.letters(LetterQuery(**query))
        whole = [await tx.letter(each.number) for each in listed]
    return [each for each in whole if each is not None]


async def outbox(store: Store, lane: Lane = LANE) -> list[Waiting]:
    """What waits to be offered, neither sent nor reserved."""
    async with store.begin() as tx:
        tenants = [share.tenant for share in await tx.shares(PATH, lane, start=None, limit=1000)]
        heads = await tx.waiting(PATH, lane, dict.fromkeys(tenants, 1000))
    return [row for rows in heads.values() for row in rows]


async def outstanding(store: Store, lane: Lane = LANE) -> int:
    async with store.begin() as tx:
        return await tx.offered(PATH, lane)


async def see(
    store: Store,
    slots: int,
    worker: WorkerId = WORKER,
    lane: Lane = LANE,
    *,
    path: str = PATH,
    vitals: Vitals | None = None,
) -> None:
    async with store.begin() as tx:
        await tx.see_worker(worker, {lane: slots}, path=path, vitals=vitals)


def warm(*models: str, load_s: float = 5.0, lane: Lane = LANE) -> Vitals:
    """Of a worker that has these loaded, in one slot each."""
    return Vitals(models=[WarmModel(lane, model, 1, 2**20, load_s) for model in models])


def a_claim(job: Job, claim_id: str = "claim-1", **fields: Any) -> Claim:
    return Claim(**{"id": ClaimId(claim_id), "job": job.id, "epoch": job.epoch, **fields})


async def taken(
    store: Store, *jobs: Job, lease: timedelta = LEASE, worker: WorkerId = WORKER
) -> list[Job]:
    """Let a worker claim these jobs; answers them as it holds them."""
    claims = [a_claim(job, f"claim-of-{job.id}-{job.epoch}") for job in jobs]
    claimed = await claim(store, worker, claims, lease=lease)
    assert all(isinstance(answer, Grant) for answer in claimed.answers)
    return [await read(store, job.id) for job in jobs]


async def running(store: Store, *, lease: timedelta = LEASE, **fields: Any) -> Job:
    (job,) = await taken(store, await put(store, **fields), lease=lease)
    return job


def a_result(
    job: Job,
    outcome: Literal["succeeded", "failed", "cancelled", "released"] = "succeeded",
    **fields: Any,
) -> Result:
    return Result(**{"job": job.id, "epoch": job.epoch, "outcome": outcome, **fields})


def a_failure(job: Job, kind: ErrorKind = "transient", message: str = "it broke") -> Result:
    return a_result(job, "failed", error=JobError(kind=kind, message=message))


def told(batches: Sequence[Batch]) -> list[tuple[JobId, int, str]]:
    """Announcements in short: which job, in which epoch, by which frame."""
    return [(batch.job, batch.epoch, type_) for batch in batches for type_, _ in batch.frames]


async def empty(bus: Bus, queue: str) -> list[Message]:
    """Take all that is ready in a queue."""
    ready = (await bus.depth(queue)).ready
    messages = []
    async with bus.receive(queue, prefetch=ready + 1) as deliveries:
        for _ in range(ready):
            delivery = await anext(deliveries)
            messages.append(decode(delivery.body))
            await delivery.ack()
    return messages


async def offers(bus: Bus, queue: str) -> list[Offer]:
    return [message for message in await empty(bus, queue) if isinstance(message, Offer)]
