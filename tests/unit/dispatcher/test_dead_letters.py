"""Dead letters as they come: every poison ends as a row, and a replay is done when it is due."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headrace.contracts.ids import Lane
from headrace.contracts.messages import JobError, Offer, Result, Results, encode
from headrace.core.job import State
from headrace.core.ports.bus import MESSAGE_HEADER, ORIGIN_HEADER, REASON_HEADER, Parcel
from headrace.core.ports.dead_letters import Settled, Source
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.settle import replay_letter
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import parked_letters, put, read
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.scripted_worker import ScriptedWorker
from headrace.testkit.waits import eventually

POISONS = {
    "bytes": b"\xff\xfe\x00 nonsense",
    "no json": b"{not json",
    "another version": b'{"kind":"results.v99","worker":"w","results":[]}',
    "no kind": b'{"worker":"w"}',
    "a list": b"[1,2,3]",
    "wrong types": b'{"kind":"claims.v1","worker":7,"reply_to":"x","claims":{}}',
    "deep": b"[" * 20_000,
}


@pytest.mark.parametrize("queue", ["claims", "heartbeats", "results"])
@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_what_cannot_be_read_is_parked_as_a_row(
    house: House, queue: str, poison: bytes, worker: ScriptedWorker
) -> None:
    name = getattr(worker.topology, queue)

    async with house.dispatching():
        await house.bus.declare([name])
        await house.bus.send([Parcel(name, poison)])
        (parked,) = await eventually(lambda: parked_letters(house.store))

    assert parked.letter.source is Source.MESSAGE
    assert parked.letter.body == poison
    assert parked.letter.queue == name
    assert "no message that this build can read" in parked.letter.reason


async def test_a_parked_message_tells_its_job_where_it_can_be_read(house: House) -> None:
    job = a_job_id()
    dead = Parcel(
        TOPOLOGY.dead,
        encode(Offer(job, 3, Lane("echo"))),
        {REASON_HEADER: "delivery_limit", ORIGIN_HEADER: "test.work.echo", MESSAGE_HEADER: "m-1"},
    )

    async with house.dispatching():
        await house.bus.send([dead, dead])
        (parked,) = await eventually(lambda: parked_letters(house.store))

    assert (parked.letter.message, parked.letter.job) == ("m-1", job)
    assert (parked.letter.reason, parked.letter.queue) == ("delivery_limit", "test.work.echo")
    assert parked.letter.headers == {}


async def test_letters_are_parked_after_an_outage(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching():
        house.store.away = True
        await house.bus.send([Parcel(worker.topology.dead, b"lost?")])
        tried = house.store.begun
        await eventually(lambda: house.store.begun > tried)
        house.store.away = False

        (parked,) = await eventually(lambda: parked_letters(house.store))

    assert parked.letter.reason == "unknown"


async def test_a_job_that_dies_is_a_dead_letter_too_and_like_dies_with_like(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching(retry=RetryPolicy(failures=1)):
        for number in (1, 2):
            await put(house.store)
            broke = JobError(kind="internal", message=f"cannot open /data/{number}/model.bin")
            await worker.end(await worker.take(), "failed", error=broke)

        async def both() -> bool:
            return len(await parked_letters(house.store)) == 2

        await eventually(both)
        async with house.store.begin() as tx:
            (group,) = await tx.letter_groups(limit=10)

    assert (group.count, group.source) == (2, Source.JOB)
    assert group.title == "internal: cannot open <path>"


async def test_a_replayed_job_is_a_new_job(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching(retry=RetryPolicy(failures=1), poll=timedelta(milliseconds=20)):
        job = await put(house.store, input={"text": "again"}, labels={"team": "red"})
        broke = JobError(kind="internal", message="broke")
        await worker.end(await worker.take(), "failed", error=broke)
        (letter,) = await eventually(lambda: parked_letters(house.store))

        async with house.store.begin() as tx:
            await replay_letter(tx, letter.number, who="ann")
        grant = await worker.take()
        await worker.end(grant)
        (settled,) = await eventually(lambda: parked_letters(house.store, settled=True))

    new = await read(house.store, grant.job)
    assert grant.job != job.id
    assert new.retry_of == job.id
    assert new.spec == job.spec
    assert (await read(house.store, job.id)).state is State.DEAD
    assert (settled.settled, settled.settled_by, settled.retried_as) == (
        Settled.REPLAYED,
        "ann",
        new.id,
    )


async def test_a_replayed_message_goes_back_to_its_queue(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching(poll=timedelta(milliseconds=20)):
        job = await put(house.store)
        grant = await worker.take()
        result = encode(Results(worker.name, [Result(grant.job, grant.epoch, "succeeded")]))
        notes = {REASON_HEADER: "by accident", ORIGIN_HEADER: worker.topology.results}
        await house.bus.send([Parcel(worker.topology.dead, result, notes)])
        (letter,) = await eventually(lambda: parked_letters(house.store))

        async with house.store.begin() as tx:
            await replay_letter(tx, letter.number, who="ann")

        async def succeeded() -> bool:
            return (await read(house.store, job.id)).state is State.SUCCEEDED

        await eventually(succeeded)
        (settled,) = await eventually(lambda: parked_letters(house.store, settled=True))

    assert settled.settled is Settled.REPLAYED
