"""Moving jobs from state to state, under guard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.ids import ClaimId, WorkerId
from headrace.core.job import TERMINAL, Event, State, advance
from headrace.core.ports.store import Change, Store
from headrace.testkit.builders import LONG_AGO, a_job_id
from headrace.testkit.conformance.store.room import SOON, WORKER, StoreRoom, grant, move, put, read


class Moving(StoreRoom):
    async def test_load_answers_what_there_is(self, store: Store, new: Any) -> None:
        jobs = await put(store, new(), new())

        async with store.begin() as tx:
            found = await tx.load([jobs[1].id, a_job_id(), jobs[0].id, jobs[0].id])

        assert found == {job.id: job for job in jobs}

    async def test_a_change_is_saved_whole(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        async with store.begin() as tx:
            until = await tx.now() + SOON

        held = await move(
            store,
            job,
            Event.GRANTED,
            worker=WORKER,
            claim=ClaimId("c"),
            lease_until=until,
            attempt_trace="00-1-2-01",
            progress=0.25,
        )

        assert (held.state, held.epoch, held.attempt) == (State.RUNNING, 1, 1)
        assert (held.worker, held.claim, held.lease_until) == (WORKER, "c", until)
        assert (held.progress, held.attempt_trace) == (0.25, "00-1-2-01")

    async def test_an_outcome_is_kept(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        held = await grant(store, job)

        ended = await move(store, held, Event.FINISHED, output={"text": "ß", "n": [1.5]})

        assert ended.output == {"text": "ß", "n": [1.5]}
        assert ended.error is None
        assert (ended.worker, ended.claim, ended.lease_until) == (None, None, None)

    @pytest.mark.parametrize("stale", [{"state": State.RUNNING}, {"epoch": 7}])
    async def test_only_who_knows_state_and_epoch_may_change(
        self, store: Store, new: Any, stale: dict[str, Any]
    ) -> None:
        (job,) = await put(store, new())
        believed = replace(job, **stale)

        async with store.begin() as tx:
            saved = await tx.save([Change(believed, replace(believed, state=State.DEAD))])

        assert saved == [False]
        assert await read(store, job) == job

    async def test_each_change_of_a_batch_is_answered_for_itself(
        self, store: Store, new: Any
    ) -> None:
        jobs = await put(store, new(), new(), new())
        await grant(store, jobs[1])

        async with store.begin() as tx:
            saved = await tx.save([Change(job, replace(job, epoch=5)) for job in jobs])

        assert saved == [True, False, True]

    async def test_two_changes_of_one_job_in_one_batch_are_one(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new())
        granted = advance(job, Event.GRANTED)[1]

        async with store.begin() as tx:
            saved = await tx.save(
                [
                    Change(job, replace(granted, worker=WorkerId("one"))),
                    Change(job, replace(granted, worker=WorkerId("two"))),
                ]
            )

        assert saved == [True, False]
        assert (await read(store, job)).worker == "one"

    async def test_nothing_asked_is_nothing_done(self, store: Store) -> None:
        async with store.begin() as tx:
            assert await tx.insert([]) == []
            assert await tx.load([]) == {}
            assert await tx.save([]) == []
            assert await tx.renew([], worker=WORKER, until=LONG_AGO) == []
            assert await tx.reserve([], until=LONG_AGO) == []

    async def test_started_at_is_the_first_grant(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        assert job.started_at is None
        first = await grant(store, job)

        again = await grant(store, await move(store, first, Event.LOST))

        assert first.started_at is not None
        assert again.started_at == first.started_at
        assert again.attempt == 2

    @pytest.mark.parametrize("event", [Event.FINISHED, Event.FAILED, Event.BURIED])
    async def test_finished_at_is_set_by_the_end(
        self, store: Store, new: Any, event: Event
    ) -> None:
        (job,) = await put(store, new())
        held = await grant(store, job)

        ended = await move(store, held, event)

        assert held.finished_at is None
        assert ended.finished_at is not None
        assert ended.state in TERMINAL

    async def test_a_wish_survives_a_save_by_who_had_not_heard_of_it(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new())
        async with store.begin() as tx:
            await tx.ask_cancel(job.tenant, job.id)

        granted = advance(job, Event.GRANTED)[1]
        async with store.begin() as tx:
            assert await tx.save([Change(job, granted)]) == [True]

        assert (await read(store, job)).cancel_asked_at is not None
