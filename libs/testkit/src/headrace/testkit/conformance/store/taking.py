"""What remote workers may have is found by class and tenant; who they are and what they took is kept."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.core.job import Event, Job
from headrace.core.ports.remotes import Candidate, Class, RemoteWorker, TakeRecord
from headrace.core.ports.store import Store, Terms, Waiting
from headrace.core.wants import Wants, written
from headrace.testkit.conformance.store.room import SOON, WORKER, StoreRoom, move, put

DRAW, WRITE = written(Wants("image", ("a",))), written(Wants("text", ("b",)))


def a_remote_worker(**fields: Any) -> RemoteWorker:
    usual = {
        "id": WorkerId(str(uuid4())),
        "name": f"worker-{secrets.token_hex(6)}",
        "tenant": TenantId(f"owner-{secrets.token_hex(6)}"),
        "kind": "image",
        "said": {"models": ["a"]},
    }
    return RemoteWorker(**{**usual, **fields})


class Taking(StoreRoom):
    async def test_classes_are_what_waits_for_remote_workers_and_is_counted(
        self, store: Store, new: Any, path: str
    ) -> None:
        one, *_ = await put(
            store, new(wants=DRAW), new(wants=DRAW), new(wants=WRITE), new(), new(wants=DRAW)
        )
        await move(store, one, Event.CANCEL_ASKED)

        async with store.begin() as tx:
            assert await tx.classes(path) == [Class(DRAW, 2), Class(WRITE, 1)]

    async def test_tenants_with_such_jobs_are_told_in_pages_with_their_weights(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        names = [TenantId(f"{tenant}-{n}") for n in range(3)]
        await put(store, *(new(wants=DRAW, tenant=name) for name in names), new())
        async with store.begin() as tx:
            await tx.set_terms(names[1], Terms(weight=3))

        async with store.begin() as tx:
            first = await tx.wanting(path, start=None, limit=2)
            rest = await tx.wanting(path, start=names[1], limit=10)

        assert [(share.tenant, share.weight) for share in first] == [(names[0], 1), (names[1], 3)]
        assert [share.tenant for share in rest] == names[1:]

    async def test_what_fits_is_the_head_of_each_queue_offered_or_not(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        offered, other, waits, last = await put(
            store, new(wants=DRAW), new(wants=WRITE), new(wants=DRAW), new(wants=DRAW)
        )
        urgent = (await put(store, new(wants=DRAW, priority=5)))[0]
        async with store.begin() as tx:
            await tx.reserve([_row(offered)], until=await tx.now() + SOON)
            await tx.mark_sent([_row(offered)])
            now = await tx.now()

        async with store.begin() as tx:
            two = await tx.fitting(path, [tenant], [DRAW], each=2)
            all_ = await tx.fitting(path, [tenant], [DRAW, WRITE], each=10)

        offered_at = two[tenant][1].offered_at
        assert two == {tenant: [_candidate(urgent), _candidate(offered, offered_at=offered_at)]}
        assert offered_at is not None
        assert abs(offered_at - now) < SOON
        assert [each.job for each in all_[tenant]] == [
            job.id for job in (urgent, offered, other, waits, last)
        ]

    async def test_nothing_fits_of_a_lane_that_is_paused(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        lane = Lane(f"lane-{secrets.token_hex(6)}")
        await put(store, new(wants=DRAW, lane=lane))
        async with store.begin() as tx:
            await tx.pause(lane)

        async with store.begin() as tx:
            assert await tx.fitting(path, [tenant], [DRAW], each=10) == {}
            await tx.resume(lane)

    async def test_a_job_that_comes_back_fits_again_and_keeps_what_it_is_told_with(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new(wants=DRAW, payload={"prompt": "a fox"}))
        back = await move(store, job, Event.GRANTED, Event.LOST)

        async with store.begin() as tx:
            found = await tx.fitting(path, [tenant], [DRAW], each=1)

        assert [each.epoch for each in found[tenant]] == [back.epoch]
        assert (back.spec.wants, back.spec.payload) == (DRAW, {"prompt": "a fox"})

    async def test_a_worker_is_kept_by_its_name_for_who_came_first(self, store: Store) -> None:
        worker = a_remote_worker()
        twin = a_remote_worker(name=worker.name, said={"models": ["c"]})
        again = replace(worker, id=WorkerId(str(uuid4())), said={"models": ["d"]})

        async with store.begin() as tx:
            first = (await tx.enlist([worker]))[worker.name]
            refused = (await tx.enlist([twin]))[worker.name]
            known = (await tx.enlist([again]))[worker.name]
            found = await tx.remote_worker_named(worker.name)
            among = await tx.remote_workers_named([worker.name, "nobody's name", "\0"])

        assert (first.id, refused.id, known.id) == (worker.id, worker.id, worker.id)
        assert refused.said == {"models": ["a"]}
        assert known.said == {"models": ["d"]}
        assert found == known
        assert among == {worker.name: known}

    async def test_a_worker_is_changed_credited_and_deleted(self, store: Store) -> None:
        worker, other = a_remote_worker(), a_remote_worker()
        async with store.begin() as tx:
            kept = (await tx.enlist([worker, other]))[worker.name]
            changed = replace(kept, info="by hand", maintenance="a new disk", paused=True)
            assert await tx.change_remote_worker(changed)
            assert not await tx.change_remote_worker(replace(kept, name=other.name))
            await tx.credit_remote_worker(worker.id, fulfilled=1, earned=2.5)
            await tx.credit_remote_worker(worker.id, faulted=1)
            await tx.credit_remote_worker(worker.id, speed=10.0)
            await tx.credit_remote_worker(worker.id, speed=5.0)
            await tx.credit_remote_worker(worker.id, fulfilled=0)

        async with store.begin() as tx:
            found = await tx.remote_worker(worker.id)
            own = await tx.remote_workers(tenant=worker.tenant, limit=10)
            elsewhere = await tx.remote_workers(tenant=worker.tenant, kind="text", limit=10)
            await tx.delete_remote_worker(worker.id)
            gone = await tx.remote_worker(worker.id)

        assert found == replace(changed, fulfilled=1, faulted=1, earned=2.5, speed=9.0)
        assert (own, elsewhere, gone) == ([found], [], None)

    async def test_a_take_is_noted_once_and_settled_once(self, store: Store) -> None:
        take = _take()
        async with store.begin() as tx:
            await tx.note_take(take)
            await tx.note_take(replace(take, epoch=7))
            assert [await tx.settle_take(take.claim) for _ in range(2)] == [True, False]

        async with store.begin() as tx:
            found = await tx.take(take.claim)
            unknown = await tx.take(ClaimId(str(uuid4())))

        assert found is not None
        assert found.granted_at is not None
        assert found == replace(take, granted_at=found.granted_at, settled_at=found.settled_at)
        assert found.settled_at is not None
        assert unknown is None

    async def test_old_takes_are_forgotten_and_young_ones_kept(self, store: Store) -> None:
        take = _take()
        async with store.begin() as tx:
            await tx.note_take(take)
        async with store.begin() as tx:
            now = await tx.now()
            await tx.purge_takes(granted_before=now - timedelta(hours=1), limit=1000)
            assert await tx.take(take.claim) is not None
            await tx.purge_takes(granted_before=now + timedelta(hours=1), limit=1000)
            assert await tx.take(take.claim) is None

    @pytest.mark.parametrize("odd", ["\0", "%", "'"])
    async def test_odd_names_find_nobody(self, store: Store, odd: str) -> None:
        async with store.begin() as tx:
            assert await tx.take(ClaimId(odd)) is None
            assert await tx.remote_worker(WorkerId(odd)) is None
            assert await tx.remote_worker_named(odd) is None
            assert await tx.remote_workers_named([odd]) == {}
            assert await tx.enlist([]) == {}

    async def test_a_secret_is_the_same_for_everybody_who_asks(self, store: Store) -> None:
        name = secrets.token_hex(6)
        async with store.begin() as tx:
            first = await tx.secret(name)
        async with store.begin() as tx:
            assert await tx.secret(name) == first
            assert await tx.secret(f"{name}-other") != first
            assert len(first) >= 40


def _take() -> TakeRecord:
    return TakeRecord(
        claim=ClaimId(str(uuid4())),
        job=JobId(str(uuid4())),
        tenant=TenantId("tenant"),
        epoch=1,
        worker=WORKER,
        model="a",
    )


def _row(job: Job) -> Waiting:
    return Waiting(job.id, job.epoch, job.tenant, job.trace, job.spec.wants)


def _candidate(job: Job, *, offered_at: datetime | None = None) -> Candidate:
    wants = job.spec.wants
    assert wants is not None
    return Candidate(job.id, job.epoch, job.tenant, job.lane, wants, offered_at)
