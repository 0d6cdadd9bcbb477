"""Taking jobs in: whole, once, and only what can be kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from headrace.contracts.ids import Lane, TenantId
from headrace.core.errors import InvalidInput
from headrace.core.ports.store import Conflict, Created, NewJob, Replayed, Store
from headrace.testkit.builders import LONG_AGO, a_job_id
from headrace.testkit.conformance.store.room import Boom, StoreRoom, put, read


async def insert_and_fail(store: Store, new: NewJob) -> None:
    async with store.begin() as tx:
        assert await tx.insert([new])
        raise Boom


class Submitting(StoreRoom):
    async def test_a_job_comes_back_as_it_was_submitted(self, store: Store, new: Any) -> None:
        asked = new(
            kind="text",
            model="small",
            input={
                "prompt": "Grüße, 世界 \\u0000",
                "n": [1, 2.5, None, True, 2**70],
                "deep": {"a": {}},
            },
            priority=-3,
            timeout_s=12.5,
            start_deadline=LONG_AGO,
            labels={"a.b": "1", "": "empty"},
            trace="00-abc-def-01",
            lane=Lane("smollm2"),
        )

        (created,) = await put(store, asked)

        assert await read(store, created) == created
        assert replace(created, created_at=None) == asked.job

    async def test_created_at_is_the_store_s_clock(self, store: Store, new: Any) -> None:
        async with store.begin() as tx:
            before = await tx.now()

        (created,) = await put(store, new())

        assert created.created_at is not None
        assert created.created_at.tzinfo == UTC
        assert timedelta(0) <= created.created_at - before < timedelta(seconds=30)

    async def test_many_are_inserted_in_one_go_and_answered_in_order(
        self, store: Store, new: Any
    ) -> None:
        news = [new() for _ in range(300)]

        created = await put(store, *news)

        assert [job.id for job in created] == [each.job.id for each in news]

    async def test_nothing_is_kept_when_the_transaction_fails(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        asked = new(key="k")

        with pytest.raises(Boom):
            await insert_and_fail(store, asked)

        async with store.begin() as tx:
            assert await tx.find(tenant, asked.job.id) is None
            assert await tx.waiting_lanes(path) == []
            assert isinstance((await tx.insert([new(key="k")]))[0], Created)

    async def test_a_key_creates_one_job_and_then_answers_it(self, store: Store, new: Any) -> None:
        (first,) = await put(store, new(key="k"))

        async with store.begin() as tx:
            (again,) = await tx.insert([new(key="k")])

        assert again == Replayed(first)

    async def test_a_key_with_another_request_is_a_conflict(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        await put(store, new(key="k"))
        other = new(key="k", fingerprint="another request")

        async with store.begin() as tx:
            (answer,) = await tx.insert([other])

        assert answer == Conflict()
        async with store.begin() as tx:
            assert await tx.find(tenant, other.job.id) is None

    async def test_a_key_belongs_to_one_tenant(self, store: Store, new: Any) -> None:
        await put(store, new(key="k"))

        async with store.begin() as tx:
            (answer,) = await tx.insert([new(key="k", tenant=TenantId(f"other-{a_job_id()}"))])

        assert isinstance(answer, Created)

    async def test_a_key_twice_in_one_batch_is_one_job(self, store: Store, new: Any) -> None:
        first, second, plain = new(key="k"), new(key="k"), new()

        async with store.begin() as tx:
            answers = await tx.insert([first, second, plain])

        assert isinstance(answers[0], Created)
        assert answers[1] == Replayed(answers[0].job)
        assert isinstance(answers[2], Created)

    async def test_twins_at_the_same_time_are_one_job(self, store: Store, new: Any) -> None:
        async def submit() -> object:
            async with store.begin() as tx:
                (answer,) = await tx.insert([new(key="k")])
                return answer

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(submit()) for _ in range(5)]

        answers = [task.result() for task in tasks]
        (created,) = [answer for answer in answers if isinstance(answer, Created)]
        assert answers.count(Replayed(created.job)) == 4

    async def test_an_insert_tried_again_finds_its_own_job(self, store: Store, new: Any) -> None:
        """A commit may have no answer; then nobody knows, and asking again must be safe."""
        asked = new()
        (first,) = await put(store, asked)

        async with store.begin() as tx:
            (again,) = await tx.insert([asked])

        assert again == Replayed(first)

    @pytest.mark.parametrize(
        "fields",
        [
            {"input": {"prompt": "a\0b"}},
            {"input": {"a": [{"b\0": 1}]}},
            {"labels": {"a": "\0"}},
            {"key": "k\0"},
            {"input": {"prompt": "\ud800"}},
        ],
    )
    async def test_what_cannot_be_kept_is_refused(
        self, store: Store, new: Any, fields: dict[str, Any], tenant: TenantId
    ) -> None:
        asked = new(**fields)

        with pytest.raises(InvalidInput):
            async with store.begin() as tx:
                await tx.insert([asked])

        async with store.begin() as tx:
            assert await tx.find(tenant, asked.job.id) is None

    async def test_a_nul_is_pointed_at(self, store: Store, new: Any) -> None:
        with pytest.raises(InvalidInput) as refused:
            async with store.begin() as tx:
                await tx.insert([new(input={"messages": [{"content": "\0"}]})])

        assert refused.value.pointer == "/messages/0/content"
