"""What was made and what waits, by model."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from headrace.core.job import Event
from headrace.core.ports.figures import ModelLoad, Period, Tally
from headrace.core.ports.store import Store
from headrace.testkit.conformance.store.room import StoreRoom, grant, move, put

_ASKED = {"params": {"width": 64, "height": 128, "steps": 10, "max_length": 80}}


class Counting(StoreRoom):
    @pytest.fixture
    def model(self) -> str:
        return f"model-{uuid4()}"

    async def test_jobs_that_succeeded_are_counted_with_their_work(
        self, store: Store, new: Any, model: str
    ) -> None:
        drawn, failed, open_, native = await put(
            store,
            new(kind="image", model=model, wants="{}", payload=_ASKED),
            new(kind="image", model=model, wants="{}", payload=_ASKED),
            new(kind="image", model=model, wants="{}", payload=_ASKED),
            new(kind="image", model=model, input={"params": {"width": "wide"}}),
        )
        for job in (drawn, native):
            await grant(store, job)
            await move(store, job, Event.FINISHED, output={})
        await grant(store, failed)
        await move(store, failed, Event.FAILED, error={"kind": "internal", "message": "broken"})

        (found,) = await _tallies(store, model)
        work_ms = found.work_ms  # of the one with work
        assert 0 <= work_ms < 60_000
        assert found == Tally(
            kind="image",
            model=model,
            within=Period.MINUTE,
            jobs=2,
            work=64 * 128 * 10,
            work_ms=work_ms,
        )
        assert open_.id

    async def test_what_only_remote_workers_can_do_is_counted_by_what_was_asked(
        self, store: Store, new: Any, model: str
    ) -> None:
        (job,) = await put(store, new(kind="text", model=model, wants="{}", input=_ASKED))
        await grant(store, job)
        await move(store, job, Event.FINISHED, output={"text": "a"})

        assert [each.work for each in await _tallies(store, model)] == [80]

    async def test_jobs_that_have_not_ended_are_a_models_load(
        self, store: Store, new: Any, model: str
    ) -> None:
        waits, runs, ended = await put(
            store, *(new(kind="text", model=model, wants="{}", payload=_ASKED) for _ in range(3))
        )
        for job in (runs, ended):
            await grant(store, job)
        await move(store, ended, Event.FINISHED, output={})

        async with store.begin() as tx:
            found = [each for each in await tx.model_loads() if each.model == model]

        assert found == [ModelLoad(kind="text", model=model, waiting=1, running=1, work=160)]
        assert waits.id

    async def test_an_input_that_became_a_blob_has_work_that_nobody_knows(
        self, store: Store, new: Any, model: str
    ) -> None:
        await put(store, new(kind="image", model=model, wants="{}", payload={"input_blob": "x"}))

        async with store.begin() as tx:
            (found,) = [each for each in await tx.model_loads() if each.model == model]

        assert (found.waiting, found.work) == (1, 0)


async def _tallies(store: Store, model: str) -> list[Tally]:
    async with store.begin() as tx:
        return [each for each in await tx.tallies() if each.model == model]
