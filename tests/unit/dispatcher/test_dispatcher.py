"""A dispatcher and one worker: from an offer to an end, through cancels, losses and outages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.contracts.frames import Succeeded, decode_frame
from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId
from headrace.contracts.messages import (
    Claim,
    Claims,
    Grant,
    Grants,
    JobError,
    Order,
    Orders,
    Refusal,
    encode,
)
from headrace.core.explain import Rule, explain
from headrace.core.job import Job, State
from headrace.core.ports.blobs import Blob
from headrace.core.ports.bus import Parcel
from headrace.core.ports.store import Store
from headrace.core.usecases.cancel import ask_cancel
from headrace.core.usecases.explain import facts_about
from headrace.core.usecases.purge import Kept
from headrace.testkit.builders import LONG_AGO
from headrace.testkit.deciding import ECHO, history, parked_letters, put, read
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.scripted_worker import ScriptedWorker, scripted_worker
from headrace.testkit.unruly import UnrulyBus
from headrace.testkit.waits import eventually
from headrace.testkit.working import log_of


async def became(store: Store, job: Job, state: State) -> Job:
    async def so() -> Job | None:
        found = await read(store, job.id)
        return found if found.state is state else None

    found = await eventually(so)
    assert found is not None
    return found


async def frame_types(house: House, job: JobId) -> list[str]:
    return [entry.type for entry in await log_of(house.streams, job)]


async def test_a_job_goes_from_its_offer_to_its_end_and_watchers_see_it(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        orders = await worker.beat(grant)
        await worker.end(grant, output={"text": "done"})
        after = await became(house.store, job, State.SUCCEEDED)

    assert orders.orders == [Order(job.id, grant.epoch, "go")]
    assert after.output == {"text": "done"}
    entries = await log_of(house.streams, job.id)
    assert [entry.type for entry in entries] == ["queued", "started", "succeeded"]
    assert decode_frame(entries[-1].data) == Succeeded({"text": "done"})


async def test_watchers_know_of_the_start_before_its_worker_does(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        await worker.take()

        assert await frame_types(house, job.id) == ["queued", "started"]


async def test_a_worker_that_comes_brings_its_engines_and_its_slots(
    house: House, worker: ScriptedWorker
) -> None:
    worker.slots = 3

    async with house.dispatching():
        await worker.hello(ECHO)

        async def known() -> bool:
            async with house.store.begin() as tx:
                seen = await tx.workers(seen_after=LONG_AGO)
                return await tx.catalog() == [ECHO] and [w.slots for w in seen] == [{"echo": 3}]

        await eventually(known)


async def test_a_worker_that_leaves_no_longer_counts(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching():
        await worker.beat()
        await worker.goodbye()

        async def forgotten() -> bool:
            async with house.store.begin() as tx:
                return await tx.workers(seen_after=LONG_AGO) == []

        await eventually(forgotten)


async def test_an_end_makes_room_for_the_next_without_waiting_for_a_poll(
    house: House, worker: ScriptedWorker
) -> None:
    jobs = [await put(house.store) for _ in range(4)]

    async with house.dispatching(poll=timedelta(hours=1)):
        for _ in jobs:
            await worker.end(await worker.take())
        for job in jobs:
            await became(house.store, job, State.SUCCEEDED)


async def test_new_work_is_offered_without_waiting_for_a_poll(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching(poll=timedelta(hours=1)):
        first = await put(house.store)
        assert (await worker.take()).job == first.id
        second = await put(house.store)
        assert (await worker.take()).job == second.id


async def test_a_worker_is_told_at_once_to_stop(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        await ask_cancel(house.store, job.tenant, job.id)
        hint = await worker.letter()
        await worker.end(grant, "cancelled")
        await became(house.store, job, State.CANCELLED)

    assert isinstance(hint, Orders)
    assert hint.orders == [Order(job.id, grant.epoch, "cancel")]
    assert hint.sequence is None  # it answers no heartbeat
    assert (await frame_types(house, job.id))[-1] == "cancelled"


async def test_what_waits_is_cancelled_and_its_offer_refused(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        offer = await worker.offer()
        await ask_cancel(house.store, job.tenant, job.id)
        await became(house.store, job, State.CANCELLED)

        answer = await worker.claim(offer)

    assert isinstance(answer, Refusal)
    assert answer.reason == "over"


async def test_a_failure_comes_back_as_another_offer(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching():
        job = await put(house.store)
        busy = JobError(kind="transient", message="busy")
        await worker.end(await worker.take(), "failed", error=busy)
        again = await worker.take()
        await worker.end(again)
        await became(house.store, job, State.SUCCEEDED)

    assert (again.job, again.attempt, again.epoch) == (job.id, 2, 3)
    assert [each.outcome for each in await history(house.store, job.id)] == ["failed", "succeeded"]


async def test_a_worker_that_falls_silent_loses_its_job_to_another(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching(lease=timedelta(milliseconds=200)):
        job = await put(house.store)
        lost = await worker.take()
        async with scripted_worker(house.bus, worker.topology, "worker-2") as other:
            again = await other.take()
            late = await worker.beat(lost)
            await worker.end(lost, output={"from": "the lost one"})
            await other.end(again, output={"from": "the other"})
            after = await became(house.store, job, State.SUCCEEDED)

    assert late.orders == [Order(job.id, lost.epoch, "lost")]
    assert after.output == {"from": "the other"}


async def test_grants_of_one_message_that_are_too_large_together_come_one_by_one(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        jobs = [await put(house.store, input={"text": "x" * 40_000}) for _ in range(2)]
        offers = [await worker.offer() for _ in jobs]
        claims = [
            Claim(ClaimId(f"claim-{n}"), each.job, each.epoch) for n, each in enumerate(offers)
        ]
        asked = Claims(worker.name, TOPOLOGY.mailbox(worker.name), claims)
        await house.bus.send([Parcel(TOPOLOGY.claims, encode(asked))])
        letters = [await worker.letter() for _ in jobs]

    granted = [each.answers[0] for each in letters if isinstance(each, Grants)]
    assert {each.job for each in granted if isinstance(each, Grant)} == {job.id for job in jobs}
    assert await parked_letters(house.store) == []


async def test_a_claim_that_is_sent_again_gets_the_same_grant(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        await put(house.store)
        offer = await worker.offer()

        first = await worker.claim(offer, "claim-1")
        again = await worker.claim(offer, "claim-1")

    assert isinstance(first, Grant)
    assert first == again


async def test_a_result_that_comes_in_an_outage_is_taken_down_after_it(
    house: House, worker: ScriptedWorker
) -> None:
    async with house.dispatching():
        job = await put(house.store)
        grant = await worker.take()
        house.store.away = True
        tried = house.store.begun
        await worker.end(grant)
        await eventually(lambda: house.store.begun > tried)
        house.store.away = False
        await became(house.store, job, State.SUCCEEDED)


async def test_what_a_bus_of_before_held_is_offered_again_at_once(
    house: House, worker: ScriptedWorker
) -> None:
    job = await put(house.store)
    async with house.dispatching():
        await worker.offer()  # taken, and then all in this process is gone

    house.bus = InProcessBus(worker.topology)
    async with house.dispatching(), scripted_worker(house.bus, worker.topology) as newcomer:
        assert (await newcomer.take()).job == job.id


async def test_two_dispatchers_grant_a_job_once(house: House, worker: ScriptedWorker) -> None:
    jobs = [await put(house.store) for _ in range(4)]

    async with house.dispatching(), house.dispatching():
        for _ in jobs:
            await worker.end(await worker.take())
        for job in jobs:
            await became(house.store, job, State.SUCCEEDED)

    for job in jobs:
        assert len(await history(house.store, job.id)) == 1
        assert (await frame_types(house, job.id)).count("succeeded") == 1


async def test_stopping_takes_down_what_was_said_last(house: House, worker: ScriptedWorker) -> None:
    async with house.dispatching() as serving:
        job = await put(house.store)
        grant = await worker.take()
        serving.stop.set()
        await worker.end(grant)
        await serving.ended()

    assert (await read(house.store, job.id)).state is State.SUCCEEDED


@pytest.mark.parametrize("queue", ["claims", "heartbeats", "results"])
async def test_what_does_not_belong_in_a_queue_is_parked_and_the_rest_goes_on(
    house: House, worker: ScriptedWorker, queue: str
) -> None:
    stray = b'{"kind":"orders.v1","lease_s":1.0,"orders":[]}'

    async with house.dispatching():
        name = getattr(worker.topology, queue)
        await house.bus.send([Parcel(name, stray)])
        job = await put(house.store)
        grant = await worker.take()
        await worker.beat(grant)
        await worker.end(grant)
        await became(house.store, job, State.SUCCEEDED)
        (parked,) = await eventually(lambda: parked_letters(house.store))

    assert parked.letter.body == stray
    assert f"does not belong among {queue}" in parked.letter.reason
    assert parked.letter.queue == name


async def test_a_lane_whose_queue_is_wrong_holds_up_no_other(
    house: House, worker: ScriptedWorker
) -> None:
    stuck = await put(house.store, lane=Lane("flow"))
    bus = UnrulyBus(house.bus)
    bus.wrong.add(TOPOLOGY.work(Lane("flow")))

    with capture_logs() as logs:
        async with replace(house, bus=bus).dispatching():
            job = await put(house.store)
            await worker.end(await worker.take())
            await became(house.store, job, State.SUCCEEDED)
            facts = await facts_about(house.store, stuck.tenant, stuck.id)

    told = [line for line in logs if line["event"] == "lane.unusable"]
    assert [line["lane"] for line in told] == ["flow"]
    assert explain(facts).rule is Rule.LANE_UNUSABLE
    assert "differs. Delete it." in explain(facts).why
    assert not [line for line in logs if line["event"] == "loop.turn_failed"]


async def test_blobs_that_nobody_names_are_collected_while_jobs_are_not_kept_for_ever(
    house: House,
) -> None:
    tenant, picture = TenantId("tenant"), Blob("image/png", b"picture")
    await house.blobs.put(tenant, picture)
    house.blobs.age_s = timedelta(days=3).total_seconds()
    often = {"collect_every": timedelta(milliseconds=20), "lease": timedelta(milliseconds=50)}

    async with house.dispatching(**often):
        await eventually(lambda: loop_turned("collect"))
        assert len(house.blobs.kept) == 1

    async with house.dispatching(kept=Kept(jobs=timedelta(days=3)), **often):
        await eventually(lambda: not house.blobs.kept)


async def test_nothing_is_collected_before_everybody_had_the_time_to_be_heard(
    house: House,
) -> None:
    await house.blobs.put(TenantId("tenant"), Blob("image/png", b"picture"))
    house.blobs.age_s = timedelta(days=3).total_seconds()
    often = timedelta(milliseconds=20)

    async with house.dispatching(kept=Kept(jobs=timedelta(days=3)), collect_every=often):
        await eventually(lambda: loop_turned("collect"))  # within its first lease

    assert len(house.blobs.kept) == 1


def loop_turned(name: str) -> bool:
    turned = REGISTRY.get_sample_value(
        "headrace_loop_last_success_timestamp_seconds", {"loop": name}
    )
    return turned is not None
