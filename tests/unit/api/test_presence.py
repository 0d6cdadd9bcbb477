"""Who is watched here is told to the store: from the first watcher on, while there is one, no longer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from headrace.api import presence
from headrace.api.presence import MISSED_S, Presence
from headrace.contracts.ids import JobId
from headrace.core.job import Job
from headrace.core.ports.store import Store
from headrace.testkit.builders import a_new_job
from headrace.testkit.conformance.store.room import put
from headrace.testkit.waits import eventually

RED = {"apikey": "key-of-red"}


@pytest.fixture
async def job(store: Store) -> Job:
    (job,) = await put(store, a_new_job(cancel_after_s=60.0))
    return job


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TOLD_EVERY_S", 0.01)


async def test_it_is_told_before_the_first_frame(store: Store, job: Job) -> None:
    async with Presence(store).watching(job, 60.0):
        lasts = await _lasts(store, job)

    assert timedelta(seconds=60) < lasts <= timedelta(seconds=60 + MISSED_S)


@pytest.mark.usefixtures("quick")
async def test_it_is_told_again_while_one_of_several_watches(store: Store, job: Job) -> None:
    here = Presence(store)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(here.run())
        async with here.watching(job, 60.0):
            async with here.watching(job, 60.0):
                pass
            first = await _until(store, job)
            await eventually(lambda: _is_later(store, job, first))
        running.cancel()


@pytest.mark.usefixtures("quick")
async def test_nothing_is_told_once_all_have_left(store: Store, job: Job) -> None:
    here = Presence(store)
    async with here.watching(job, 60.0):
        pass

    assert here._patience_s == {}
    assert not here._watchers


async def test_an_outage_shuts_nobody_out(job: Job) -> None:
    from headrace.core.errors import Unavailable

    class Away:
        def begin(self) -> Any:
            raise Unavailable("the store", "it was told to refuse")

    async with Presence(Away()).watching(job, 60.0):  # type: ignore[arg-type]  # all that is asked of it
        pass


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("continue", 202),
        ({"cancel_after": 0}, 202),
        ({"cancel_after": 2.5}, 202),
        ({"cancel_after": -1}, 422),
        ({"cancel_after": "2"}, 422),
        ({}, 422),
        ("stop", 422),
    ],
)
async def test_the_policy_is_asked_for_at_submission(
    http: httpx.AsyncClient, store: Store, asked: Any, status: int
) -> None:
    body = {"kind": "echo", "input": {"text": "x"}, "on_disconnect": asked}
    answer = await http.post("/jobs", json=body, headers=RED)

    assert answer.status_code == status
    if status == 202:
        async with store.begin() as tx:
            found = (await tx.load([JobId(answer.json()["id"])]))[JobId(answer.json()["id"])]
        expected = None if asked == "continue" else asked["cancel_after"]
        assert found.spec.cancel_after_s == expected


async def _until(store: Store, job: Job) -> datetime:
    """The store keeps it to itself; what it did is seen in its row."""
    from sqlalchemy import select

    from headrace.adapters.store.sql.schema import jobs

    async with store.begin() as tx:
        question = select(jobs.c.watched_until).where(jobs.c.id == job.id)
        found: datetime = (await tx._session.run(question)).scalar_one()  # type: ignore[attr-defined]  # a look inside
        return found


async def _lasts(store: Store, job: Job) -> timedelta:
    async with store.begin() as tx:
        now = await tx.now()
    return await _until(store, job) - now


async def _is_later(store: Store, job: Job, than: datetime) -> bool:
    return await _until(store, job) > than
