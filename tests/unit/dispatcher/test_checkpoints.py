"""What running jobs leave behind is kept before their worker is answered, and what is old is deleted."""

from __future__ import annotations

from headrace.contracts.ids import BlobId
from headrace.contracts.messages import Grant, JobError, Order
from headrace.core.job import Job
from headrace.core.ports.blobs import Blob
from headrace.testkit.deciding import put, read
from headrace.testkit.house import House
from headrace.testkit.scripted_worker import ScriptedWorker
from headrace.testkit.waits import eventually


async def leave(house: House, job: Job, data: bytes) -> BlobId:
    return await house.blobs.put(job.tenant, Blob("application/octet-stream", data))


async def left(house: House) -> list[bytes]:
    return [blob.data for blob in house.blobs.kept.values()]


async def test_it_is_kept_before_the_answer_and_the_one_before_it_is_deleted(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        old, new = await leave(house, job, b"old"), await leave(house, job, b"new")

        await worker.beat(grant, checkpoint=old, checkpoint_step=1)
        orders = await worker.beat(grant, checkpoint=new, checkpoint_step=2)
        kept = (await read(house.store, job.id)).checkpoint
        await eventually(lambda: len(house.blobs.kept) == 1)

    assert orders.orders == [Order(job.id, grant.epoch, "go")]
    assert kept is not None
    assert (kept.blob, kept.step) == (new, 2)
    assert await left(house) == [b"new"]


async def test_another_dispatcher_gives_it_to_the_next_attempt_after_every_restart(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        blob = await leave(house, job, b"it")
        await worker.beat(grant, checkpoint=blob, checkpoint_step=7)

    async with house.dispatching():
        await worker.end(grant, "failed", error=JobError("worker_lost", "killed"))
        again = await worker.take()

    assert isinstance(again, Grant)
    assert (again.epoch, again.checkpoint, again.checkpoint_step) == (3, blob, 7)


async def test_with_a_success_it_is_deleted(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        blob = await leave(house, job, b"it")
        await worker.beat(grant, checkpoint=blob, checkpoint_step=7)
        await worker.end(grant)

        await eventually(lambda: not house.blobs.kept)

    assert (await read(house.store, job.id)).checkpoint is None
