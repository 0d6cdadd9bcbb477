"""What somebody wants gone leaves whole, and what of it lies elsewhere is remembered until it has gone too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from headrace.contracts.ids import BlobId, ClaimId, DeletionId, JobId, TenantId
from headrace.core.batch import (
    BATCH_LABEL,
    ITEM_LABEL,
    Batch,
    ItemEnd,
    ItemState,
    NewItem,
    job_of_item,
)
from headrace.core.job import Event
from headrace.core.ports.checkpoints import LeftBehind
from headrace.core.ports.dead_letters import LetterQuery
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep
from headrace.core.ports.remotes import TakeRecord
from headrace.core.ports.store import Created, Store
from headrace.core.ports.upkeep import Answer, BlobUse, Question, Unasked
from headrace.core.ports.webhooks import CallQuery
from headrace.core.run import RunState
from headrace.core.usecases.models import register
from headrace.testkit.builders import (
    a_batch,
    a_dead_letter,
    a_job_id,
    a_new_version,
    a_run,
    a_schedule,
    an_endpoint,
)
from headrace.testkit.conformance.store.room import SOON, WORKER, StoreRoom, grant, move, put

EVERY_KIND: Final = tuple(Kind)


class Erasing(StoreRoom):
    async def test_a_wish_comes_back_as_it_was_and_is_due_until_it_is_over(
        self, store: Store, tenant: TenantId
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        sweep = Sweep(
            made_before=now,
            ended_before=now - SOON,
            labels={"a": "b"},
            cancel=True,
            place=(now, a_job_id()),
        )
        asked = await wish(store, tenant, sweep=sweep, next_at=now, removed={"jobs": 1})

        async with store.begin() as tx:
            assert asked in await tx.due_deletions(limit=1000)
            assert await tx.lock_deletion(asked.id) == asked
            assert await tx.deletion(tenant, asked.id) == (asked, 0)
            assert await tx.deletion(None, asked.id) == (asked, 0)
            assert await tx.deletion(TenantId("another"), asked.id) is None
            assert await tx.deletion_of(tenant, asked.subject) == asked
            assert await tx.open_deletions(tenant, at_most=9) == 1
            await tx.save_deletion(replace(asked, sweep=None, tries=2, next_at=None))
        async with store.begin() as tx:
            over = await tx.lock_deletion(asked.id)
            assert over is not None
            assert (over.sweep, over.tries, over.next_at) == (None, 2, None)
            assert over.finished_at is not None
            assert await tx.open_deletions(tenant, at_most=9) == 0
            assert over not in await tx.due_deletions(limit=1000)

    async def test_a_job_that_ended_leaves_with_every_row_about_it(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        job, other = await put(store, new(key="k"), new())
        held = await grant(store, job)
        question = Question(tenant, "POST /jobs/1/cancel", "k", "f")
        async with store.begin() as tx:
            await tx.insert_endpoint(an_endpoint(tenant=tenant))
            await tx.open_attempts([held])
            await tx.bury([a_dead_letter(job=job.id, fingerprint=job.id[:16])])
            await tx.recall(question)
            await tx.remember(question, Answer(200, "{}", job.id))
            await tx.note_take(a_take(job.id, tenant))
            own, shared = BlobId(f"{job.id}.png"), BlobId(f"{other.id}.png")
            uses = [(own, job), (shared, job), (shared, other)]
            await tx.use_blobs([BlobUse(tenant, blob, by.id) for blob, by in uses])
        await move(store, held, Event.FINISHED, output={"text": "x"})
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            removed = await tx.erase(asked.id, jobs=[job.id, other.id, a_job_id()])

        assert dict(removed) == {
            "jobs": 1,
            "attempts": 1,
            "dead_letters": 1,
            "deliveries": 1,
            "takes": 1,
            "keys": 1,
            "answers": 1,
        }
        async with store.begin() as tx:
            assert (await tx.load([job.id, other.id])).keys() == {other.id}
            assert await tx.attempts(job.id) == []
            assert await tx.letters(LetterQuery(fingerprint=job.id[:16])) == []
            assert await tx.calls(CallQuery(tenant=tenant)) == []
            assert await tx.recall(question) == Unasked()
            assert await tx.take(ClaimId(f"take-{job.id}")) is None
            (again,) = await tx.insert([new(key="k")])
            assert isinstance(again, Created)
            left = await tx.remnants(asked.id, EVERY_KIND, limit=10)
            assert await tx.deletion_of(tenant, f"job {job.id}") == asked
        assert set(left) == {
            Remnant(Kind.LOG, tenant, job.id),
            Remnant(Kind.BLOB, tenant, own),
        }

    async def test_what_is_gone_is_dropped_once(self, store: Store, tenant: TenantId) -> None:
        asked = await wish(store, tenant)
        blob, log = Remnant(Kind.BLOB, tenant, "b"), Remnant(Kind.LOG, tenant, "l")

        async with store.begin() as tx:
            await tx.add_remnants(asked.id, [blob, log])
            await tx.add_remnants(asked.id, [blob])
            assert await tx.remnants(asked.id, [Kind.LOG], limit=10) == [log]
            assert await tx.deletion(tenant, asked.id) == (asked, 2)
            assert await tx.drop_remnants(asked.id, [blob]) == [blob]
            assert await tx.drop_remnants(asked.id, [blob]) == []
            assert await tx.remnants(asked.id, EVERY_KIND, limit=10) == [log]

    async def test_what_comes_for_a_job_that_was_erased_is_refused_or_goes_too(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        await move(store, job, Event.CANCEL_ASKED)
        asked = await wish(store, tenant)
        named, unnamed = BlobId("named.png"), BlobId("unnamed.png")
        async with store.begin() as tx:
            await tx.erase(asked.id, jobs=[job.id])
            await tx.drop_remnants(asked.id, await tx.remnants(asked.id, EVERY_KIND, limit=9))
            await tx.save_deletion(replace(asked, next_at=None))
            await tx.use_blobs([BlobUse(tenant, named, "somebody")])

        async with store.begin() as tx:
            await tx.note_late({job.id: [named, unnamed], a_job_id(): [unnamed]})
            assert await tx.bury([a_dead_letter(job=job.id)]) == 0

        async with store.begin() as tx:
            left = await tx.remnants(asked.id, EVERY_KIND, limit=9)
            assert left == [Remnant(Kind.BLOB, tenant, unnamed)]
            assert asked.id in {each.id for each in await tx.due_deletions(limit=1000)}

    async def test_a_run_leaves_with_its_pieces(self, store: Store, tenant: TenantId) -> None:
        asked, run = await wish(store, tenant), a_run(tenant=tenant, state=RunState.SUCCEEDED)
        async with store.begin() as tx:
            await tx.insert_run(run)

        async with store.begin() as tx:
            assert await tx.erase(asked.id, runs=[run.id]) == {"runs": 1}
            assert await tx.find_run(tenant, run.id) is None

    async def test_a_batch_leaves_at_once_and_its_items_with_their_jobs_in_steps(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        batch = await a_batch_that_is_over(store, new, tenant, items=3)
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            first = await tx.erase_batch(asked.id, batch.id, limit=2)
            assert await tx.look_at_batch(tenant, batch.id) is None
            assert len(await tx.load(jobs_of(batch))) == 1
        async with store.begin() as tx:
            assert await tx.lock_batches([batch.id]) == []
            rest = await tx.erase_batch(asked.id, batch.id, limit=2)
            assert await tx.erase_batch(asked.id, batch.id, limit=2) == ({}, False)
            assert await tx.load(jobs_of(batch)) == {}
            left = await tx.remnants(asked.id, EVERY_KIND, limit=10)

        assert first == ({"batches": 1, "items": 2, "jobs": 2}, True)
        assert rest == ({"items": 1, "jobs": 1}, False)
        logs = {Remnant(Kind.LOG, tenant, job) for job in jobs_of(batch)}
        assert set(left) == {Remnant(Kind.BLOB, tenant, batch.source), *logs}

    async def test_a_batch_that_goes_on_stays(self, store: Store, tenant: TenantId) -> None:
        batch = a_batch(tenant=tenant)
        async with store.begin() as tx:
            await tx.insert_batch(batch)
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            assert await tx.erase_batch(asked.id, batch.id, limit=9) == ({}, True)
            assert [each.id for each in await tx.lock_batches([batch.id])] == [batch.id]

    async def test_a_tenants_models_leave_version_by_version_and_others_stay(
        self, store: Store, tenant: TenantId
    ) -> None:
        first = a_new_version(tenant=tenant)
        second = a_new_version(tenant=tenant, name=first.name)
        theirs = a_new_version(tenant=TenantId(f"{tenant}-other"), name=first.name)
        async with store.begin() as tx:
            for each in (first, second, theirs):
                await register(tx, each)
            await tx.use_blobs([BlobUse(tenant, first.artefact.blob, a_job_id())])
            soon = await tx.now() + SOON
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            assert await tx.erase_around(asked.id, tenant, before=soon - 2 * SOON, limit=1) == {}
            steps = [
                await tx.erase_around(asked.id, tenant, before=soon, limit=1) for _ in range(3)
            ]

            assert steps == [{"versions": 1}, {"versions": 1, "models": 1, "routes": 1}, {}]
            left = await tx.remnants(asked.id, EVERY_KIND, limit=10)
            assert left == [Remnant(Kind.BLOB, tenant, second.artefact.blob)]
            assert await tx.lock_model(tenant, first.name) is None
            assert await tx.routes(tenant, first.name, limit=9) == []
            assert await tx.version(theirs.tenant, theirs.name, 1) is not None

    async def test_what_an_erased_job_registered_leaves_though_it_came_later(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        await move(store, job, Event.CANCEL_ASKED)
        async with store.begin() as tx:
            before = await tx.now() - SOON
            await register(tx, a_new_version(tenant=tenant, job=job.id))
            await register(tx, a_new_version(tenant=tenant))
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            assert await tx.erase_around(asked.id, tenant, before=before, limit=9) == {}
            await tx.erase(asked.id, jobs=[job.id])
            around = await tx.erase_around(asked.id, tenant, before=before, limit=9)

        assert around == {"versions": 1, "models": 1, "routes": 1}

    async def test_a_checkpoint_and_what_is_thought_of_a_job_leave_with_it_and_a_late_one_too(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        held = await grant(store, job)
        early, late = BlobId(f"{job.id}.1"), BlobId(f"{job.id}.2")
        async with store.begin() as tx:
            await tx.keep_checkpoints([LeftBehind(job.id, held.epoch, early, 1)])
            await tx.note_feedback(job.id, "rating", 4.0, most=9)
        await move(store, held, Event.FINISHED, output={})
        asked = await wish(store, tenant)

        async with store.begin() as tx:
            removed = await tx.erase(asked.id, jobs=[job.id])
        async with store.begin() as tx:
            told = [LeftBehind(job.id, held.epoch, late, 2), LeftBehind(a_job_id(), 1, late, 2)]
            assert await tx.keep_checkpoints(told) == []
            left = await tx.remnants(asked.id, [Kind.BLOB], limit=10)

        assert removed == {"jobs": 1, "feedback": 1}
        assert {each.name for each in left} == {early, late}

    async def test_the_rest_of_what_a_tenant_has_leaves_in_bounded_steps(
        self, store: Store, tenant: TenantId
    ) -> None:
        async with store.begin() as tx:
            for _ in range(3):
                await tx.insert_schedule(a_schedule(tenant=tenant, path=tenant))
            await tx.insert_schedule(a_schedule(tenant=TenantId(f"{tenant}-other"), path=tenant))
            await tx.insert_endpoint(an_endpoint(tenant=tenant))
        asked = await wish(store, tenant)
        async with store.begin() as tx:
            soon = await tx.now() + SOON
            assert await tx.erase_around(asked.id, tenant, before=soon - 2 * SOON, limit=2) == {}
            first = await tx.erase_around(asked.id, tenant, before=soon, limit=2)
            second = await tx.erase_around(asked.id, tenant, before=soon, limit=2)

            assert first == {"schedules": 2, "webhooks": 1}
            assert second == {"schedules": 1}
            assert await tx.erase_around(asked.id, tenant, before=soon, limit=2) == {}
            other = TenantId(f"{tenant}-other")
            assert len(await tx.schedules(other, before=None, limit=9)) == 1

    async def test_what_is_over_is_forgotten_and_who_was_erased_by_it(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        await move(store, job, Event.CANCEL_ASKED)
        asked, waiting = await wish(store, tenant), await wish(store, tenant)
        async with store.begin() as tx:
            await tx.erase(asked.id, jobs=[job.id])
            await tx.save_deletion(replace(asked, next_at=None))

        async with store.begin() as tx:
            now = await tx.now()
            while await tx.purge_deletions(finished_before=now + timedelta(1), limit=1):
                pass

        async with store.begin() as tx:
            assert await tx.lock_deletion(asked.id) is None
            assert await tx.lock_deletion(waiting.id) is not None
            assert await tx.deletion_of(tenant, f"job {job.id}") is None


async def wish(store: Store, tenant: TenantId, **fields: Any) -> Deletion:
    async with store.begin() as tx:
        usual: dict[str, Any] = {
            "id": DeletionId(a_job_id()),
            "tenant": tenant,
            "subject": "jobs",
            "who": "a key",
            "next_at": await tx.now(),
        }
        return await tx.insert_deletion(Deletion(**{**usual, **fields}))


async def a_batch_that_is_over(store: Store, new: Any, tenant: TenantId, *, items: int) -> Batch:
    batch = a_batch(tenant=tenant, total=items)
    places = range(items)
    jobs = await put(
        store,
        *(
            new(
                id=job_of_item(batch.id, place),
                labels={BATCH_LABEL: batch.id, ITEM_LABEL: str(place)},
            )
            for place in places
        ),
    )
    begun = [NewItem(place=place, job=job.id) for place, job in zip(places, jobs, strict=True)]
    async with store.begin() as tx:
        made = await tx.insert_batch(batch)
        await tx.use_blobs([BlobUse(tenant, batch.source, batch.id)])
        assert await tx.begin_items(made, replace(made, begun=items), begun)
    for job in jobs:
        await move(store, job, Event.CANCEL_ASKED)
    async with store.begin() as tx:
        await tx.end_items([ItemEnd(batch.id, place, ItemState.CANCELLED) for place in places])
    return batch


def jobs_of(batch: Batch) -> list[JobId]:
    return [job_of_item(batch.id, place) for place in range(batch.total)]


def a_take(job: str, tenant: TenantId) -> TakeRecord:
    fields: Any = {"job": job, "tenant": tenant, "epoch": 1, "worker": WORKER, "model": "m"}
    return TakeRecord(claim=ClaimId(f"take-{job}"), **fields)
