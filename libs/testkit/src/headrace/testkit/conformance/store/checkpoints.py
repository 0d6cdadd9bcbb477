"""What attempts leave behind is kept for the next one: the latest of who holds the job, and nobody else's."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.job import Event, Job
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.checkpoints import LeftBehind
from headrace.core.ports.store import Store
from headrace.testkit.conformance.store.room import StoreRoom, grant, move, put, read


def a_blob() -> BlobId:
    return BlobId(f"{secrets.token_hex(8)}.bin")


def left(job: Job, step: int, **fields: Any) -> LeftBehind:
    usual = {"job": job.id, "epoch": job.epoch, "blob": a_blob(), "step": step}
    return LeftBehind(**{**usual, **fields})


async def keep(store: Store, *told: LeftBehind) -> list[BlobRef]:
    async with store.begin() as tx:
        return await tx.keep_checkpoints(told)


async def kept(store: Store, job: Job) -> tuple[BlobId, int] | None:
    checkpoint = (await read(store, job)).checkpoint
    return None if checkpoint is None else (checkpoint.blob, checkpoint.step)


async def is_named(store: Store, tenant: TenantId, blob: BlobId) -> bool:
    async with store.begin() as tx:
        return await tx.unused([BlobRef(tenant, blob)]) == []


class Checkpointing(StoreRoom):
    @pytest.fixture
    async def job(self, store: Store, new: Any) -> Job:
        (job,) = await put(store, new())
        return await grant(store, job)

    async def test_what_its_holder_tells_is_kept_with_its_time_and_its_blob_stays(
        self, store: Store, job: Job
    ) -> None:
        told = left(job, 7)

        assert await keep(store, told) == []

        checkpoint = (await read(store, job)).checkpoint
        assert checkpoint is not None
        assert (checkpoint.blob, checkpoint.step, checkpoint.epoch) == (told.blob, 7, job.epoch)
        assert isinstance(checkpoint.at, datetime)
        assert checkpoint.at.utcoffset() is not None
        assert await is_named(store, job.tenant, told.blob)

    async def test_a_newer_one_takes_its_place_and_the_older_blob_is_let_go(
        self, store: Store, job: Job
    ) -> None:
        old, new = left(job, 1), left(job, 2)
        await keep(store, old)

        assert await keep(store, new) == [BlobRef(job.tenant, old.blob)]

        assert await kept(store, job) == (new.blob, 2)
        assert not await is_named(store, job.tenant, old.blob)

    async def test_what_comes_twice_or_late_changes_nothing(self, store: Store, job: Job) -> None:
        early, late = left(job, 1), left(job, 2)
        await keep(store, late)

        assert await keep(store, late) == []
        assert await keep(store, early) == [BlobRef(job.tenant, early.blob)]

        assert await kept(store, job) == (late.blob, 2)

    async def test_of_several_in_one_breath_the_latest_is_kept(
        self, store: Store, job: Job, new: Any
    ) -> None:
        other = await grant(store, (await put(store, new()))[0])
        last, its = left(job, 3), left(other, 1)

        await keep(store, left(job, 2), its, last)

        assert await kept(store, job) == (last.blob, 3)
        assert await kept(store, other) == (its.blob, 1)

    async def test_a_stale_epoch_has_no_say(self, store: Store, job: Job) -> None:
        first = left(job, 5)
        await keep(store, first)
        again = await grant(store, await move(store, job, Event.LOST))
        stale = left(job, 9)

        assert await keep(store, stale, first) == [BlobRef(job.tenant, stale.blob)]

        assert await kept(store, job) == (first.blob, 5)
        assert again.checkpoint == (await read(store, job)).checkpoint

    async def test_the_next_attempt_may_begin_again_and_its_own_counts(
        self, store: Store, job: Job
    ) -> None:
        await keep(store, left(job, 50))
        again = await grant(store, await move(store, job, Event.LOST))
        own = left(again, 1)

        await keep(store, own)

        assert await kept(store, job) == (own.blob, 1)

    async def test_who_does_not_run_has_no_say(self, store: Store, new: Any, job: Job) -> None:
        (waits,) = await put(store, new())
        over = await move(store, job, Event.FAILED)

        await keep(store, left(waits, 1), left(over, 1), left(replace(job, id=waits.id), 1))

        assert [await kept(store, each) for each in (waits, over)] == [None, None]

    async def test_it_outlives_the_attempt_and_the_job_until_it_is_dropped(
        self, store: Store, job: Job
    ) -> None:
        told = left(job, 4)
        await keep(store, told)
        await move(store, job, Event.BURIED)
        assert await kept(store, job) == (told.blob, 4)

        async with store.begin() as tx:
            assert await tx.drop_checkpoints([job.id]) == [BlobRef(job.tenant, told.blob)]
            assert await tx.drop_checkpoints([job.id]) == []

        assert await kept(store, job) is None

    async def test_a_blob_that_another_job_names_too_stays(
        self, store: Store, job: Job, new: Any
    ) -> None:
        told = left(job, 4)
        await keep(store, told)
        dead = await move(store, job, Event.BURIED)
        assert dead.checkpoint is not None
        heir = new(checkpoint=replace(dead.checkpoint, epoch=0), retry_of=job.id)
        (inherited,) = await put(store, heir)
        async with store.begin() as tx:
            await tx.inherit_blobs({job.id: inherited.id})
        runs = await grant(store, inherited)

        assert runs.checkpoint == replace(dead.checkpoint, epoch=0)
        assert await keep(store, left(runs, 1)) == []
        assert await is_named(store, job.tenant, told.blob)

    async def test_an_attempt_tells_from_which_step_it_went_on(
        self, store: Store, job: Job
    ) -> None:
        await keep(store, left(job, 4))
        async with store.begin() as tx:
            await tx.open_attempts([job])
        again = await grant(store, await move(store, job, Event.LOST))
        async with store.begin() as tx:
            await tx.open_attempts([again])

        async with store.begin() as tx:
            assert [each.resumed_step for each in await tx.attempts(job.id)] == [None, 4]

    async def test_nothing_told_is_nothing_done(self, store: Store) -> None:
        assert await keep(store) == []
