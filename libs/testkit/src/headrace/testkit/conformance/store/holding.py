"""While a worker holds a job: wishes to cancel, leases, attempts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import JobId, TenantId, WorkerId
from headrace.contracts.messages import Stages
from headrace.core.job import Event, State
from headrace.core.ports.store import AttemptEnd, Renewal, Store
from headrace.testkit.builders import LONG_AGO, a_job_id
from headrace.testkit.conformance.store.room import WORKER, StoreRoom, grant, move, put, read


class Holding(StoreRoom):
    async def test_asking_to_cancel_is_recorded_once(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            first = await tx.ask_cancel(job.tenant, job.id)
        async with store.begin() as tx:
            second = await tx.ask_cancel(job.tenant, job.id)

        assert first is not None
        assert first.state is State.QUEUED
        assert first.cancel_asked_at is not None
        assert second == first

    async def test_why_it_was_first_asked_is_kept(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            await tx.ask_cancel(job.tenant, job.id, reason="left")
            second = await tx.ask_cancel(job.tenant, job.id)

        assert second is not None
        assert second.cancel_reason == "left"

    async def test_asking_to_cancel_what_is_over_changes_nothing(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new())
        ended = await move(store, await grant(store, job), Event.FINISHED, output={})

        async with store.begin() as tx:
            answer = await tx.ask_cancel(job.tenant, job.id)

        assert answer == ended

    @pytest.mark.parametrize("job_id", ["unknown", "nul\0"])
    async def test_nobody_cancels_a_job_of_another_tenant(
        self, store: Store, new: Any, job_id: str
    ) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            assert await tx.ask_cancel(TenantId("another"), job.id) is None
            assert await tx.ask_cancel(job.tenant, JobId(job_id)) is None

        assert (await read(store, job)).cancel_asked_at is None

    async def test_a_lease_is_renewed_for_its_holder_in_its_epoch(
        self, store: Store, new: Any
    ) -> None:
        held, other = [await grant(store, job) for job in await put(store, new(), new())]
        queued = (await put(store, new()))[0]
        async with store.begin() as tx:
            until = await tx.now() + timedelta(hours=1)
            states = await tx.renew(
                [
                    Renewal(held.id, 1, 0.5),
                    Renewal(other.id, 7, 0.5),
                    Renewal(queued.id, 0, None),
                    Renewal(a_job_id(), 1, None),
                ],
                worker=WORKER,
                until=until,
            )

        assert states == [State.RUNNING, None, None, None]
        renewed = await read(store, held)
        assert (renewed.lease_until, renewed.progress) == (until, 0.5)
        assert await read(store, other) == other

    async def test_no_news_keeps_the_progress(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])

        for progress in (0.5, None):
            async with store.begin() as tx:
                await tx.renew([Renewal(held.id, 1, progress)], worker=WORKER, until=LONG_AGO)

        assert (await read(store, held)).progress == 0.5

    async def test_another_worker_cannot_renew(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])

        async with store.begin() as tx:
            states = await tx.renew(
                [Renewal(held.id, 1, 0.9)], worker=WorkerId("another"), until=LONG_AGO
            )

        assert states == [None]
        assert await read(store, held) == held

    async def test_a_worker_hears_that_its_job_shall_stop(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])
        await move(store, held, Event.CANCEL_ASKED)

        async with store.begin() as tx:
            states = await tx.renew([Renewal(held.id, 1, None)], worker=WORKER, until=LONG_AGO)

        assert states == [State.CANCELLING]

    async def test_attempts_are_opened_and_closed(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])
        end = AttemptEnd(held.id, 1, "failed", {"kind": "internal"}, Stages(run_s=1.5))

        async with store.begin() as tx:
            await tx.open_attempts([held])
            (open_attempt,) = await tx.attempts(held.id)
            await tx.close_attempts([end])
            (closed,) = await tx.attempts(held.id)

        assert (open_attempt.attempt, open_attempt.epoch, open_attempt.worker) == (1, 1, WORKER)
        assert (open_attempt.ended_at, open_attempt.outcome, open_attempt.stages) == (None,) * 3
        assert closed.ended_at is not None
        assert (closed.outcome, closed.error, closed.stages) == (
            "failed",
            {"kind": "internal"},
            Stages(run_s=1.5),
        )

    async def test_an_attempt_is_closed_once(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])
        async with store.begin() as tx:
            await tx.open_attempts([held])
            await tx.open_attempts([held])

        for outcome in ("succeeded", "lost"):
            async with store.begin() as tx:
                await tx.close_attempts([AttemptEnd(held.id, 1, outcome, None, Stages())])

        async with store.begin() as tx:
            (attempt,) = await tx.attempts(held.id)
        assert attempt.outcome == "succeeded"
