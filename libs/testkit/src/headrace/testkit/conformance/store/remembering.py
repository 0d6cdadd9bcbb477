"""Answers are repeated word for word; and what is old is let go, a bounded batch at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from headrace.contracts.ids import BlobId, Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Event, Job
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.dead_letters import LetterQuery
from headrace.core.ports.store import Created, Replayed, Store
from headrace.core.ports.upkeep import Answer, BlobUse, Different, Question, Recollection, Unasked
from headrace.testkit.builders import a_dead_letter
from headrace.testkit.conformance.store.room import SOON, Boom, StoreRoom, grant, move, put

SAID = Answer(202, '{"id": "Grüße"}')


class Remembering(StoreRoom):
    @pytest.fixture
    def question(self, tenant: TenantId) -> Question:
        return Question(tenant, "POST /jobs/1/cancel", "k", "the same request")

    async def test_a_question_is_answered_once_and_then_repeated(
        self, store: Store, question: Question
    ) -> None:
        first = await ask(store, question)
        again = await ask(store, question)

        assert first == Unasked()
        assert again == SAID

    async def test_another_request_with_the_same_key_is_told_so(
        self, store: Store, question: Question
    ) -> None:
        await ask(store, question)

        assert await ask(store, replace(question, fingerprint="another")) == Different()

    async def test_a_key_belongs_to_one_tenant_and_one_route(
        self, store: Store, question: Question
    ) -> None:
        await ask(store, question)

        other_tenant = replace(question, tenant=TenantId(f"{question.tenant}-other"))
        other_route = replace(question, route="POST /schedules")

        assert await ask(store, other_tenant) == Unasked()
        assert await ask(store, other_route) == Unasked()

    async def test_what_fails_is_not_remembered(self, store: Store, question: Question) -> None:
        with pytest.raises(Boom):
            await ask_and_fail(store, question)

        assert await ask(store, question) == Unasked()

    async def test_of_twins_one_is_served_and_the_others_hear_its_answer(
        self, store: Store, question: Question
    ) -> None:
        async with asyncio.TaskGroup() as group:
            twins = [group.create_task(ask(store, question)) for _ in range(4)]

        answers = [twin.result() for twin in twins]
        assert answers.count(Unasked()) == 1
        assert answers.count(SAID) == 3

    async def test_old_keys_are_forgotten_and_young_ones_kept(
        self, store: Store, question: Question, new: Any
    ) -> None:
        await ask(store, question)
        (job,) = await put(store, new(key="k"))

        async with store.begin() as tx:
            now = await tx.now()
            await tx.purge_keys(older_than=now - SOON, limit=1000)
            (answer,) = await tx.insert([new(key="k")])
            assert answer == Replayed(job)
        await purge_all_keys(store, now)

        assert await ask(store, question) == Unasked()
        async with store.begin() as tx:
            (answer,) = await tx.insert([new(key="k")])
        assert isinstance(answer, Created)

    async def test_a_purge_is_bounded(self, store: Store, question: Question) -> None:
        for number in range(3):
            await ask(store, replace(question, key=f"k{number}"))
        async with store.begin() as tx:
            now = await tx.now()

        async with store.begin() as tx:
            gone = await tx.purge_keys(older_than=now + SOON, limit=1)

        assert 1 <= gone <= 2  # at most one of each kind

    async def test_blobs_that_only_purged_jobs_named_are_orphans(
        self, store: Store, new: Any
    ) -> None:
        first, second, other = await put(store, new(), new(), new())
        named = {name: BlobId(f"{first.id[:8]}-{name}.png") for name in ("alone", "shared", "own")}
        uses = [
            BlobUse(first.tenant, named["alone"], first.id),
            BlobUse(first.tenant, named["shared"], first.id),
            BlobUse(other.tenant, named["shared"], other.id),
        ]
        async with store.begin() as tx:
            await tx.use_blobs(uses)
            await tx.use_blobs(uses)  # again
            await tx.inherit_blobs({first.id: second.id})
        refs = [BlobRef(first.tenant, blob) for blob in named.values()]
        async with store.begin() as tx:
            assert await tx.unused(refs) == [BlobRef(first.tenant, named["own"])]
            elsewhere = BlobRef(TenantId("another"), named["shared"])
            assert await tx.unused([elsewhere]) == [elsewhere]

        orphans = [await purged(store, job) & set(refs) for job in (first, second, other)]

        assert orphans == [
            set(),
            {BlobRef(first.tenant, named["alone"])},
            {BlobRef(first.tenant, named["shared"])},
        ]

    async def test_engines_that_nobody_announced_for_long_are_forgotten(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new())
        card = EngineCard(Lane("echo"), kind=job.id, models=["m"], input_schema={})
        server = EngineCard(Lane("serve"), "inference", [], {}, formats=[job.id])
        async with store.begin() as tx:
            await tx.announce_engines([card, server])
        async with store.begin() as tx:
            now = await tx.now()
            await tx.purge_engines(announced_before=now - SOON)
            assert card in await tx.catalog()
            assert server in await tx.catalog()
            await tx.purge_engines(announced_before=now + SOON)
            assert card not in await tx.catalog()
            assert server not in await tx.catalog()

    async def test_what_is_wrong_with_a_lane_is_kept_until_it_is_mended(
        self, store: Store, new: Any
    ) -> None:
        lane = Lane((await put(store, new()))[0].id)
        async with store.begin() as tx:
            since = await tx.pause(lane)
            await tx.note_trouble(lane, "it differs")
            await tx.note_trouble(lane, "it differs still")
        async with store.begin() as tx:
            assert (await tx.troubles())[lane] == "it differs still"
            assert (await tx.paused())[lane] == since
            await tx.note_trouble(lane, None)
            assert lane not in await tx.troubles()
            assert (await tx.paused())[lane] == since

    async def test_jobs_that_ended_long_ago_go_with_all_that_was_theirs(
        self, store: Store, new: Any
    ) -> None:
        waiting, running, ended = await put(store, new(), new(), new())
        held = await grant(store, ended)
        await grant(store, running)
        async with store.begin() as tx:
            await tx.open_attempts([held])
            letter = a_dead_letter(job=ended.id, fingerprint=ended.id[:16])
            await tx.bury([letter])
        await move(store, held, Event.BURIED, error={"kind": "internal", "message": "no"})
        async with store.begin() as tx:
            now = await tx.now()
            await tx.purge_jobs(finished_before=now - SOON, limit=1000)
            assert await tx.find(ended.tenant, ended.id) is not None

        async with store.begin() as tx:
            while (await tx.purge_jobs(finished_before=now + SOON, limit=100)).jobs:
                pass

        async with store.begin() as tx:
            assert await tx.find(ended.tenant, ended.id) is None
            assert await tx.attempts(ended.id) == []
            assert await tx.letters(LetterQuery(fingerprint=ended.id[:16])) == []
            assert await tx.find(waiting.tenant, waiting.id) is not None
            assert await tx.find(running.tenant, running.id) is not None


async def purged(store: Store, job: Job) -> set[BlobRef]:
    """End this job, and answer what its purge leaves behind."""
    await move(store, job, Event.CANCEL_ASKED)
    found: set[BlobRef] = set()
    async with store.begin() as tx:
        now = await tx.now()
        while (gone := await tx.purge_jobs(finished_before=now + SOON, limit=100)).jobs:
            found |= set(gone.orphans)
    return found


async def ask(store: Store, question: Question) -> Recollection:
    async with store.begin() as tx:
        known = await tx.recall(question)
        if known == Unasked():
            await tx.remember(question, SAID)
        return known


async def ask_and_fail(store: Store, question: Question) -> None:
    async with store.begin() as tx:
        assert await tx.recall(question) == Unasked()
        await tx.remember(question, SAID)
        raise Boom


async def purge_all_keys(store: Store, now: datetime) -> None:
    async with store.begin() as tx:
        while await tx.purge_keys(older_than=now + SOON, limit=100):
            pass
