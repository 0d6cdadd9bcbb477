"""What is old goes; what is young, or what a key may still answer with, stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import JobId, TenantId, WorkerId
from headrace.core.errors import InvalidInput
from headrace.core.job import Job
from headrace.core.ports.blobs import Blob, BlobRef
from headrace.core.ports.store import Created, Replayed, Store, Terms
from headrace.core.usecases.purge import Kept, collect, purge, purge_own
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.core.usecases.schedules import Makers, Recurrence, create_schedule, delete_schedule
from headrace.core.usecases.submit import Submission, submit
from headrace.testkit.builders import LONG_AGO, a_job_id, a_new_job, an_api_key
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    LEASE,
    PATH,
    POLICY,
    a_result,
    read,
    running,
    see,
    taken,
)
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.running_batches import BAD, hand_in, turn

THREE_DAYS = Kept(jobs=timedelta(days=3))
TENANT = TenantId("tenant")
PICTURE = Blob("image/png", b"picture")
WEEK_AGO = "2019-01-01T00:00:00.000000+00:00"


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


async def ended(store: Store, output: dict[str, Any] | None = None, **result: Any) -> JobId:
    return await end(store, await running(store), output, **result)


async def end(store: Store, job: Job, output: dict[str, Any] | None = None, **result: Any) -> JobId:
    said = a_result(job, output=output or {}, **result)
    await record(store, [said], policy=POLICY, random=ANY)
    return job.id


async def take_in(
    store: Store, blobs: MemoryBlobs, given: dict[str, Any], lease: timedelta = LEASE
) -> Job:
    """Submitted, and held by a worker."""
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    request = Submission(tenant=TENANT, kind="echo", input=given)
    made = await submit(
        store, blobs, request, path=PATH, new_id=a_job_id, check=lambda _card, _input: None
    )
    (held,) = await taken(store, made.job, lease=lease)
    return held


@pytest.mark.parametrize("kept", [None, timedelta(0)])
async def test_a_revoked_key_goes_when_somebody_says_how_long_it_is_kept(
    store: Store, blobs: MemoryBlobs, kept: timedelta | None
) -> None:
    key = an_api_key()
    async with store.begin() as tx:
        await tx.insert_key(key, "digest")
        await tx.revoke_key(key.id)

    await purge(store, blobs, kept=Kept(api_keys=kept), limit=10)

    async with store.begin() as tx:
        assert (await tx.key(key.id) is None) == (kept is not None)


def left(blobs: MemoryBlobs) -> set[str]:
    return {blob for _, blob in blobs.kept}


async def age(store: Store, *statements: str) -> None:
    assert isinstance(store, SqlStore)
    async with store.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement), {"then": WEEK_AGO})


async def there(store: Store, job: JobId) -> bool:
    async with store.begin() as tx:
        return bool(await tx.load([job]))


async def test_jobs_are_kept_for_ever_unless_told_otherwise(
    store: Store, blobs: MemoryBlobs
) -> None:
    job = await ended(store)
    await age(store, "UPDATE jobs SET finished_at = :then")

    await purge(store, blobs, kept=Kept(), limit=10)

    assert await there(store, job)


async def test_jobs_that_ended_long_ago_go_and_the_others_stay(
    store: Store, blobs: MemoryBlobs
) -> None:
    old = await ended(store)
    await age(store, "UPDATE jobs SET finished_at = :then")
    young, busy = await ended(store), (await running(store)).id

    await purge(store, blobs, kept=THREE_DAYS, limit=10)

    assert [await there(store, job) for job in (old, young, busy)] == [False, True, True]
    assert (await read(store, (await running(store)).id)).attempt == 1


async def test_keys_go_after_two_days_and_before_their_jobs(
    store: Store, blobs: MemoryBlobs
) -> None:
    async with store.begin() as tx:
        (first,) = await tx.insert([a_new_job(key="old")])
        assert isinstance(first, Created)
    await age(store, "UPDATE idempotency_keys SET created_at = :then")
    async with store.begin() as tx:
        (kept,) = await tx.insert([a_new_job(key="young")])
        assert isinstance(kept, Created)

    await purge(store, blobs, kept=Kept(), limit=10)

    async with store.begin() as tx:
        old, young = await tx.insert([a_new_job(key="old"), a_new_job(key="young")])
    assert isinstance(old, Created)
    assert young == Replayed(kept.job)


async def test_a_turn_takes_a_batch_and_asks_for_another(store: Store, blobs: MemoryBlobs) -> None:
    for _ in range(3):
        await ended(store)
    await age(store, "UPDATE jobs SET finished_at = :then")

    turns = [await purge(store, blobs, kept=THREE_DAYS, limit=2) for _ in range(3)]

    assert turns == [True, False, False]


async def test_a_job_goes_with_the_blobs_that_it_alone_named(
    store: Store, blobs: MemoryBlobs
) -> None:
    given, made, foreign = [await blobs.put(TENANT, PICTURE) for _ in range(3)]
    job = await take_in(store, blobs, {"image": {"blob": given}})
    await end(store, job, {"images": [{"blob": made}]})
    await age(store, "UPDATE jobs SET finished_at = :then")

    await purge(store, blobs, kept=THREE_DAYS, limit=10)

    assert left(blobs) == {foreign}


async def test_what_was_too_large_for_a_row_goes_too_and_the_blobs_named_inside(
    store: Store, blobs: MemoryBlobs
) -> None:
    given, made, whole = [await blobs.put(TENANT, PICTURE) for _ in range(3)]
    job = await take_in(store, blobs, {"image": {"blob": given}, "text": "x" * 60_000})
    await end(store, job, {"output_blob": whole}, blobs=[made])
    assert len(left(blobs)) == 4

    assert await unnamed(store, blobs) == set()
    await age(store, "UPDATE jobs SET finished_at = :then")
    await purge(store, blobs, kept=THREE_DAYS, limit=10)

    assert left(blobs) == set()


async def test_a_blob_stays_while_another_job_names_it(store: Store, blobs: MemoryBlobs) -> None:
    shared = await blobs.put(TENANT, PICTURE)
    first = await end(store, await take_in(store, blobs, {"image": {"blob": shared}}))
    await age(store, "UPDATE jobs SET finished_at = :then")
    second = await take_in(store, blobs, {"image": {"blob": shared}})

    await purge(store, blobs, kept=THREE_DAYS, limit=10)
    assert not await there(store, first)
    assert left(blobs) == {shared}

    await end(store, second)
    await age(store, "UPDATE jobs SET finished_at = :then")
    await purge(store, blobs, kept=THREE_DAYS, limit=10)
    assert left(blobs) == set()


async def test_a_job_that_is_tried_again_keeps_what_the_first_one_named(
    store: Store, blobs: MemoryBlobs
) -> None:
    inside = await blobs.put(TENANT, PICTURE)
    given = {"image": {"blob": inside}, "text": "x" * 60_000}
    first = await end(store, await take_in(store, blobs, given))
    async with store.begin() as tx:
        again = await retry(tx, TENANT, first, new_id=a_job_id, trace=None)
    await age(store, "UPDATE jobs SET finished_at = :then WHERE state = 'succeeded'")

    await purge(store, blobs, kept=THREE_DAYS, limit=10)

    assert [await there(store, job) for job in (first, again.id)] == [False, True]
    assert left(blobs) == {inside, again.spec.input["input_blob"]}


async def test_a_schedule_keeps_what_it_names_until_it_is_deleted(
    store: Store, blobs: MemoryBlobs
) -> None:
    named = await blobs.put(TENANT, PICTURE)
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        job = {"kind": "echo", "input": {"image": {"blob": named}}}
        wanted = Recurrence(tenant=TENANT, cron="0 6 * * *", timezone="UTC", job=job)
        makers = Makers(a_job_id, lambda _card, _input: None, choose=lambda _tenant, _kind: PATH)
        made = await create_schedule(tx, wanted, makers)
    assert await unnamed(store, blobs) == set()

    async with store.begin() as tx:
        await delete_schedule(tx, TENANT, made.id)

    assert await unnamed(store, blobs) == {named}


async def test_blobs_out_of_reach_are_collected_later(store: Store, blobs: MemoryBlobs) -> None:
    given = await blobs.put(TENANT, PICTURE)
    job = await end(store, await take_in(store, blobs, {"image": {"blob": given}}))
    await age(store, "UPDATE jobs SET finished_at = :then")
    blobs.away = True
    await purge(store, blobs, kept=THREE_DAYS, limit=10)
    blobs.away = False
    assert not await there(store, job)

    await collect_all(store, blobs)

    assert left(blobs) == {given}  # young ones may yet be named
    blobs.age_s = timedelta(days=3).total_seconds()
    await collect_all(store, blobs)
    assert left(blobs) == set()


async def test_what_a_job_names_is_never_collected(store: Store, blobs: MemoryBlobs) -> None:
    named, alone = [await blobs.put(TENANT, PICTURE) for _ in range(2)]
    await take_in(store, blobs, {"image": {"blob": named}})
    blobs.age_s = timedelta(days=300).total_seconds()

    await collect_all(store, blobs)

    assert left(blobs) == {named}
    assert alone not in left(blobs)


async def test_an_output_that_comes_too_late_is_nobodys(store: Store, blobs: MemoryBlobs) -> None:
    job, late = await running(store), await blobs.put(TENANT, PICTURE)
    await end(store, job)
    await end(store, job, {"image": {"blob": late}})

    assert await unnamed(store, blobs) == {late}


async def test_more_blobs_than_a_worker_fetches_are_refused_at_the_door(
    store: Store, blobs: MemoryBlobs
) -> None:
    with pytest.raises(InvalidInput, match="65 blobs"):
        await take_in(store, blobs, {"images": [{"blob": f"{n}.png"} for n in range(65)]})


async def test_an_engine_that_nobody_announces_any_more_leaves_the_catalog(
    store: Store, blobs: MemoryBlobs
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    await purge(store, blobs, kept=Kept(), limit=10)
    assert await catalog(store) == [ECHO.kind]

    await age(store, "UPDATE catalog SET seen_at = :then")
    await purge(store, blobs, kept=Kept(), limit=10)
    assert await catalog(store) == []

    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    await purge(store, blobs, kept=Kept(), limit=10)
    assert await catalog(store) == [ECHO.kind]


async def test_announcing_an_engine_again_keeps_it(store: Store, blobs: MemoryBlobs) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    await age(store, "UPDATE catalog SET seen_at = :then")
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])

    await purge(store, blobs, kept=Kept(), limit=10)

    assert await catalog(store) == [ECHO.kind]


async def test_workers_that_fell_silent_long_ago_are_forgotten(
    store: Store, blobs: MemoryBlobs
) -> None:
    await see(store, 1, WorkerId("old"))
    await age(store, "UPDATE workers SET seen_at = :then")
    await see(store, 1, WorkerId("young"))

    await purge(store, blobs, kept=Kept(), limit=10)

    async with store.begin() as tx:
        assert [each.id for each in await tx.workers(seen_after=LONG_AGO)] == ["young"]


async def catalog(store: Store) -> list[str]:
    async with store.begin() as tx:
        return [card.kind for card in await tx.catalog()]


async def unnamed(store: Store, blobs: MemoryBlobs) -> set[str]:
    refs = [BlobRef(tenant, blob) for tenant, blob in blobs.kept]
    async with store.begin() as tx:
        return {ref.blob for ref in await tx.unused(refs)}


async def collect_all(store: Store, blobs: MemoryBlobs) -> None:
    place: str | None = ""
    while place is not None:
        place = await collect(store, blobs, after=place, limit=1)


async def test_a_tenant_may_have_its_jobs_kept_for_less_than_others(
    store: Store, blobs: MemoryBlobs
) -> None:
    made = await blobs.put(TENANT, PICTURE)
    job = await ended(store, {"image": {"blob": made}})
    await age(store, "UPDATE jobs SET finished_at = :then")
    await purge(store, blobs, kept=Kept(), limit=10)
    assert await purge_own(store, blobs, after="", limit=10) == ("", False)
    assert await there(store, job)
    async with store.begin() as tx:
        await tx.set_terms(TENANT, Terms(retain_days=2))

    place, more = await purge_own(store, blobs, after="", limit=1)

    assert (place, more) == (
        "",
        True,
    )  # it is looked at again: there may be more than one turn takes
    assert await purge_own(store, blobs, after=place, limit=1) == ("", False)
    assert not await there(store, job)
    assert blobs.kept == {}


async def test_batches_of_such_a_tenant_go_as_soon_as_its_jobs(
    store: Store, blobs: MemoryBlobs
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        await tx.set_terms(TENANT, Terms(retain_days=2))
    batch = await hand_in(store, blobs, [BAD])
    await turn(store, blobs)
    await purge_own(store, blobs, after="", limit=10)
    assert (TENANT, batch.source) in blobs.kept

    await age(store, "UPDATE batches SET finished_at = :then")
    await purge_own(store, blobs, after="", limit=10)

    async with store.begin() as tx:
        assert await tx.look_at_batch(TENANT, batch.id) is None
    assert blobs.kept == {}
