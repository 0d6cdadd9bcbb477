"""What somebody wants gone leaves whole, and what of it lies elsewhere is remembered until it has gone too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from headrace.contracts.ids import BlobId, ClaimId, DeletionId, TenantId
from headrace.core.job import Event
from headrace.core.ports.dead_letters import LetterQuery
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep
from headrace.core.ports.remotes import TakeRecord
from headrace.core.ports.store import Created, Store
from headrace.core.ports.upkeep import Answer, BlobUse, Question, Unasked
from headrace.core.ports.webhooks import CallQuery
from headrace.core.run import RunState
from headrace.testkit.builders import a_dead_letter, a_job_id, a_run, a_schedule, an_endpoint
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


def a_take(job: str, tenant: TenantId) -> TakeRecord:
    fields: Any = {"job": job, "tenant": tenant, "epoch": 1, "worker": WORKER, "model": "m"}
    return TakeRecord(claim=ClaimId(f"take-{job}"), **fields)
