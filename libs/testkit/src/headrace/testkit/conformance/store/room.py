"""A corner of the store for each test, and the steps that most of them take."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from headrace.contracts.ids import ClaimId, TenantId, WorkerId
from headrace.core.job import Event, Job, advance
from headrace.core.ports.store import Change, Created, NewJob, Store
from headrace.testkit.builders import a_new_job

SOON: Final = timedelta(minutes=5)
WORKER: Final = WorkerId("worker")


class Boom(Exception):
    """What a use case may raise in the middle."""


class StoreRoom:
    """A corner of the store that no other test looks into: its own path, tenant and lane."""

    @pytest.fixture
    def path(self) -> str:
        return f"path-{secrets.token_hex(6)}"

    @pytest.fixture
    def tenant(self) -> TenantId:
        return TenantId(f"tenant-{secrets.token_hex(6)}")

    @pytest.fixture
    def new(self, path: str, tenant: TenantId) -> Any:
        """Builds a new job of this corner."""

        def build(**fields: Any) -> NewJob:
            return a_new_job(**{"path": path, "tenant": tenant, **fields})

        return build


async def put(store: Store, *news: NewJob) -> list[Job]:
    """Insert; the jobs as the store has them."""
    async with store.begin() as tx:
        answers = await tx.insert(news)
    return [answer.job for answer in answers if isinstance(answer, Created)]


async def move(store: Store, job: Job, *events: Event, **fields: Any) -> Job:
    """Apply events in turn, each saved; the last may set fields."""
    for place, event in enumerate(events, start=1):
        async with store.begin() as tx:
            before = (await tx.load([job.id]))[job.id]
            extra = fields if place == len(events) else {}
            after = replace(advance(before, event)[1], **extra)
            assert await tx.save([Change(before, after)]) == [True]
    return await read(store, job)


async def grant(store: Store, job: Job, *, lease: timedelta = SOON) -> Job:
    async with store.begin() as tx:
        until = await tx.now() + lease
    return await move(
        store, job, Event.GRANTED, worker=WORKER, claim=ClaimId("claim"), lease_until=until
    )


async def read(store: Store, job: Job) -> Job:
    async with store.begin() as tx:
        found = await tx.find(job.tenant, job.id)
    assert found is not None
    return found
