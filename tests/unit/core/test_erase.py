"""What somebody wants gone goes, all of it, whichever process dies; and nothing that comes later brings it back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import START, BlobId, TenantId
from headrace.contracts.producing import OUTSIDE
from headrace.core.errors import JobNotFound, JobNotOver, RunNotReady
from headrace.core.errors_bulk import JobOfRun, TooManyDeletions
from headrace.core.job import State, Verdict
from headrace.core.ports.blobs import Blob
from headrace.core.ports.deletions import Sweep
from headrace.core.ports.store import NewJob
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.erase import (
    MOST_OPEN,
    Asking,
    clear,
    delete_job,
    delete_jobs,
    delete_run,
)
from headrace.core.usecases.go_on_erasing import go_on
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.core.usecases.shadow import make_shadow
from headrace.testkit.builders import (
    a_dead_letter,
    a_job,
    a_job_id,
    a_schedule,
    an_endpoint,
)
from headrace.testkit.deciding import ANY, ECHO, PATH, POLICY, a_result, taken
from headrace.testkit.leavings import ASKING, ZEBRA, DeafStreams, World
from headrace.testkit.running_runs import CHAIN, TENANT, begin, job_of, succeed


@pytest.fixture
async def world(store: SqlStore) -> World:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    return World(store)


async def test_nothing_of_a_deleted_job_is_left_anywhere(world: World) -> None:
    job = await world.ended()
    async with world.store.begin() as tx:
        await tx.bury([a_dead_letter(job=job.id, tenant=TENANT, title=ZEBRA)])
    assert len(set(await world.trace_of(ZEBRA))) >= 7

    wish = await world.delete(job.id)
    over = await clear(world.store, world.places, wish.id)

    assert await world.trace_of(ZEBRA) == []
    assert over is not None
    assert over.next_at is None
    assert over.removed == {
        "jobs": 1,
        "attempts": 1,
        "dead_letters": 1,
        "keys": 1,
        "answers": 1,
        "blobs": 2,
        "streams": 1,
    }
    async with world.store.begin() as tx:
        (deed,) = [each.deed for each in await tx.audited(before=None, limit=10)]
    assert (deed.who, deed.action, deed.subject) == ("key-1", "delete", f"job {job.id}")
    assert deed.detail == {"tenant": TENANT}


async def test_deleting_again_is_the_same_deletion_and_what_never_was_is_not_found(
    world: World,
) -> None:
    job = await world.ended()

    first = await world.delete(job.id)
    again = await world.delete(job.id)

    assert again.id == first.id
    with pytest.raises(JobNotFound):
        await world.delete(a_job_id())
    async with world.store.begin() as tx:
        with pytest.raises(JobNotFound):
            await delete_job(tx, Asking(TenantId("other"), "k", a_job_id), job.id, cancel=False)


async def test_a_job_that_runs_is_not_deleted_unless_it_may_be_cancelled(world: World) -> None:
    job = await world.job()

    with pytest.raises(JobNotOver):
        await world.delete(job.id)
    wish = await world.delete(job.id, cancel=True)
    same = await world.delete(job.id, cancel=True)
    assert same.id == wish.id
    over = await world.until_over(wish)

    assert over.removed["jobs"] == 1
    assert await world.trace_of(ZEBRA) == []


async def test_one_that_a_worker_holds_goes_when_it_has_stopped(world: World) -> None:
    job = await world.job()
    (held,) = await taken(world.store, job)
    wish = await world.delete(job.id, cancel=True)
    await honour_cancels(world.store, path=PATH, limit=10)
    await go_on(world.store, world.places, limit=10)
    async with world.store.begin() as tx:
        assert (await tx.load([job.id]))[job.id].state is State.CANCELLING

    stopped = a_result(held, outcome="cancelled", output=None)
    await record(world.store, [stopped], policy=POLICY, random=ANY)
    await world.until_over(wish)

    assert await world.trace_of(ZEBRA) == []


async def test_a_wish_that_nobody_could_finish_is_finished_later(world: World) -> None:
    job = await world.ended()
    wish = await world.delete(job.id)
    world.blobs.away, streams, world.streams = True, world.streams, DeafStreams()
    stuck = await clear(world.store, world.places, wish.id)
    again = await clear(world.store, world.places, wish.id)
    assert stuck is not None
    assert again is not None
    assert stuck.next_at is not None
    assert (stuck.tries, again.tries) == (1, 2)
    world.blobs.away, world.streams = False, streams

    over = await world.until_over(wish)

    assert over.removed["blobs"] == 2
    assert over.removed["streams"] == 1
    assert await world.trace_of(ZEBRA) == []


async def test_a_late_result_and_a_late_frame_bring_nothing_back(world: World) -> None:
    job = await world.ended()
    wish = await world.delete(job.id)
    await world.until_over(wish)

    late = await world.blobs.put(TENANT, Blob("image/png", ZEBRA.encode()))
    said = a_result(job, output={"text": ZEBRA, "image": {"blob": late}})
    recorded = await record(world.store, [said], policy=POLICY, random=ANY)
    verdict = await world.say(job.id, 99)
    async with world.store.begin() as tx:
        buried = await tx.bury([a_dead_letter(job=job.id, body=ZEBRA.encode())])

    assert recorded.stale == [said]
    assert verdict is Verdict.STALE
    assert (await world.streams.read(job.id, START, limit=1)).entries == ()
    assert buried == 0
    over = await world.until_over(wish)
    assert over.removed["blobs"] == 3
    assert await world.trace_of(ZEBRA) == []


async def test_a_blob_that_another_job_names_stays(world: World) -> None:
    job = await world.ended()
    async with world.store.begin() as tx:
        again = await retry(tx, TENANT, job.id, new_id=a_job_id, trace=None)
    wish = await world.until_over(await world.delete(job.id))

    (picture,) = [again.spec.input["image"]["blob"]]
    assert (TENANT, BlobId(picture)) in world.blobs.kept
    assert wish.removed["blobs"] == 1  # its own result


async def test_the_shadow_of_a_job_goes_with_it_once_it_has_stopped(world: World) -> None:
    job = await world.job()
    async with world.store.begin() as tx:
        shadow = await make_shadow(tx, job, a_job_id())
    assert shadow is not None
    (held,) = await taken(world.store, job)
    await record(world.store, [a_result(held)], policy=POLICY, random=ANY)

    wish = await world.delete(job.id)
    await honour_cancels(world.store, path=shadow.path, limit=10)
    over = await world.until_over(wish)

    assert over.removed["jobs"] == 2
    assert await world.trace_of(ZEBRA) == []


async def test_what_a_producer_outside_said_is_left_to_who_can_reach_it(world: World) -> None:
    job = await world.job(lane=OUTSIDE, state=State.SCHEDULED)
    wish = await world.delete(job.id, cancel=True)
    await honour_cancels(world.store, path=PATH, limit=10)

    over = await world.until_over(wish)

    assert world.producers.forgotten == [job.id]
    assert over.removed["producers"] == 1


async def test_a_run_goes_with_every_job_and_none_of_these_goes_alone(world: World) -> None:
    run = await begin(world.store, CHAIN, input={"text": ZEBRA}, labels={"of": ZEBRA})
    first = await job_of(world.store, run, "first")
    with pytest.raises(JobOfRun, match=run.id):
        await world.delete(first.id)
    async with world.store.begin() as tx:
        with pytest.raises(RunNotReady):
            await delete_run(tx, ASKING, run.id, cancel=False)
    await succeed(world.store, first)
    await succeed(world.store, await job_of(world.store, run, "next"))

    async with world.store.begin() as tx:
        wish = await delete_run(tx, ASKING, run.id, cancel=False)
    async with world.store.begin() as tx:
        again = await delete_run(tx, ASKING, run.id, cancel=False)
    over = await world.until_over(wish)

    assert again.id == wish.id
    assert (over.removed["runs"], over.removed["stages"], over.removed["jobs"]) == (1, 2, 2)
    assert await world.trace_of(ZEBRA) == []


async def test_a_run_that_goes_on_is_cancelled_and_then_deleted(world: World) -> None:
    run = await begin(world.store, CHAIN, input={"text": ZEBRA})
    async with world.store.begin() as tx:
        wish = await delete_run(tx, ASKING, run.id, cancel=True)

    over = await world.until_over(wish)

    assert over.removed["runs"] == 1
    assert await world.trace_of(ZEBRA) == []


async def test_jobs_go_by_their_labels_and_their_age_and_others_stay(world: World) -> None:
    mine = [await world.ended(labels={"of": "mine"}) for _ in range(3)]
    other, going = await world.ended(labels={"of": "other"}), await world.job(labels={"of": "mine"})
    run = await begin(world.store, CHAIN, labels={"of": "mine"})
    await succeed(world.store, await job_of(world.store, run, "first"))
    await succeed(world.store, await job_of(world.store, run, "next"))

    async with world.store.begin() as tx:
        now = await tx.now()
        sweep = Sweep(made_before=now + timedelta(1), labels={"of": "mine"})
        wish = await delete_jobs(tx, ASKING, sweep)
        early = await delete_jobs(
            tx, ASKING, Sweep(made_before=now, ended_before=now - timedelta(1))
        )
    over, nothing = await world.until_over(wish), await world.until_over(early)

    assert over.sweep is None  # the labels, which may say much, are forgotten
    assert (over.removed["jobs"], over.removed["runs"]) == (5, 1)
    assert nothing.removed == {}
    async with world.store.begin() as tx:
        left = await tx.load([each.id for each in (*mine, other, going)])
        assert left.keys() == {other.id, going.id}
        audited = [each.deed for each in await tx.audited(before=None, limit=10)]
        assert await tx.deletion_of(TENANT, f"job {mine[0].id}") is not None
    assert {job.id for job in mine} <= set(audited[0].detail["ids"])


async def test_with_cancel_what_has_not_ended_is_stopped_and_goes_too(world: World) -> None:
    jobs = [await world.job(labels={"of": "me"}) for _ in range(3)]
    async with world.store.begin() as tx:
        now = await tx.now()
        sweep = Sweep(made_before=now + timedelta(1), labels={"of": "me"}, cancel=True)
        wish = await delete_jobs(tx, ASKING, sweep)

    over = await world.until_over(wish)

    assert over.removed["jobs"] == len(jobs)
    assert await world.trace_of(ZEBRA) == []


async def test_all_that_a_tenant_has_goes_and_its_neighbour_keeps_everything(world: World) -> None:
    await world.ended()
    await world.job()
    await begin(world.store, CHAIN, input={"text": ZEBRA})
    await world.blobs.put(TENANT, Blob("image/png", ZEBRA.encode()))  # named by nobody
    neighbour = a_job(tenant=TenantId("neighbour"), path=PATH)
    async with world.store.begin() as tx:
        job = {"kind": "echo", "model": "small", "input": {"text": ZEBRA}}
        await tx.insert([NewJob(neighbour)])
        await tx.insert_schedule(a_schedule(tenant=TENANT, job=job, path="another"))
        await tx.insert_endpoint(an_endpoint(tenant=TENANT, note=ZEBRA))

    over = await world.until_over(await world.delete_all())

    assert await world.trace_of(ZEBRA) == []
    assert (over.removed["schedules"], over.removed["webhooks"], over.removed["runs"]) == (1, 1, 1)
    async with world.store.begin() as tx:
        assert (await tx.load([neighbour.id])).keys() == {neighbour.id}


async def test_wishes_that_wait_have_a_bound(world: World) -> None:
    async with world.store.begin() as tx:
        sweep = Sweep(made_before=await tx.now(), labels={"a": "b"})
        for _ in range(MOST_OPEN):
            await delete_jobs(tx, ASKING, sweep)
        with pytest.raises(TooManyDeletions):
            await delete_jobs(tx, ASKING, sweep)


async def test_what_is_over_for_long_is_forgotten(world: World) -> None:
    job = await world.ended()
    wish = await world.until_over(await world.delete(job.id))

    async with world.store.begin() as tx:
        now = await tx.now()
        assert await tx.purge_deletions(finished_before=now - timedelta(1), limit=10) == 0
        assert await tx.purge_deletions(finished_before=now + timedelta(1), limit=10) == 1
        assert await tx.deletion(None, wish.id) is None
    assert await world.trace_of(job.id) == ["audit"]
