"""Dead letters: kept once, found by what they have in common, settled once, and all of it audited."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from headrace.core.ports.dead_letters import (
    DeadLetter,
    Deed,
    LetterQuery,
    Parked,
    Settled,
    Settlement,
    Source,
)
from headrace.core.ports.store import Store
from headrace.testkit.builders import a_dead_letter, a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom

Build: TypeAlias = Callable[..., DeadLetter]


class Burying(StoreRoom):
    @pytest.fixture
    def cause(self) -> str:
        """A fingerprint that no other test has."""
        return secrets.token_hex(8)

    @pytest.fixture
    def dead(self, path: str, cause: str) -> Build:
        def build(**fields: Any) -> DeadLetter:
            return a_dead_letter(**{"path": path, "fingerprint": cause, **fields})

        return build

    async def test_a_dead_letter_comes_back_as_it_was(
        self, store: Store, dead: Build, cause: str
    ) -> None:
        letter = dead(job=a_job_id(), reason="Grüße \u2028", body=b"\x00\xff", size=99_999)

        await bury(store, letter)

        (listed,) = await open_letters(store, cause)
        async with store.begin() as tx:
            kept = await tx.letter(listed.number)
        assert kept is not None
        assert kept.letter == letter
        assert listed.letter == replace(letter, body=b"")
        assert not kept.letter.whole
        assert (kept.settled, kept.replay_at, kept.retried_as) == (None, None, None)

    async def test_a_message_is_kept_once_for_each_reason(
        self, store: Store, dead: Build, cause: str
    ) -> None:
        letter = dead()

        first = await bury(store, letter, letter)
        again = await bury(store, letter)
        other = await bury(store, dead(message=letter.message, reason="another"))

        assert (first, again, other) == (1, 0, 1)
        assert len(await open_letters(store, cause)) == 2

    async def test_letters_of_one_cause_are_a_group(
        self, store: Store, dead: Build, cause: str
    ) -> None:
        await bury(store, dead(), dead(), dead())
        settled = (await open_letters(store, cause))[0]
        await settle(store, settled)

        async with store.begin() as tx:
            groups = {group.fingerprint: group for group in await tx.letter_groups(limit=1000)}

        assert groups[cause].count == 2
        assert groups[cause].source is Source.MESSAGE
        assert groups[cause].first_at <= groups[cause].last_at

    async def test_letters_are_found_newest_first_and_page_by_page(
        self, store: Store, dead: Build, cause: str
    ) -> None:
        await bury(store, dead())
        await bury(store, dead(queue="elsewhere"))
        await bury(store, dead())
        whole = await open_letters(store, cause)

        first = await open_letters(store, cause, limit=2)
        rest = await open_letters(store, cause, before=first[-1].number)
        elsewhere = await open_letters(store, cause, queue="elsewhere")

        assert [*first, *rest] == whole
        assert [each.number for each in whole] == sorted(
            (each.number for each in whole), reverse=True
        )
        assert elsewhere == [whole[1]]

    async def test_a_replay_is_planned_once_and_due_in_its_time(
        self, store: Store, dead: Build, cause: str, path: str
    ) -> None:
        await bury(store, dead(), dead())
        later, soon = [each.number for each in await open_letters(store, cause)]
        async with store.begin() as tx:
            now = await tx.now()
            planned = await tx.plan_replays({soon: now - SOON, later: now + SOON}, who="ann")
        async with store.begin() as tx:
            again = await tx.plan_replays({soon: now}, who="bob")

        async with store.begin() as tx:
            due = await tx.due_replays(path, limit=10)
            last = await tx.last_replay()
            elsewhere = await tx.due_replays(f"{path}-other", limit=10)

        assert (sorted(planned), again) == (sorted([soon, later]), [])
        assert [each.number for each in due] == [soon]
        assert due[0].settled_by == "ann"
        assert last is not None
        assert last >= now + SOON
        assert elsewhere == []
        assert await open_letters(store, cause, unplanned=True) == []

    async def test_a_postponed_replay_is_somebody_elses_for_that_long(
        self, store: Store, dead: Build, cause: str, path: str
    ) -> None:
        await bury(store, dead())
        (letter,) = await open_letters(store, cause)
        async with store.begin() as tx:
            now = await tx.now()
            await tx.plan_replays({letter.number: now}, who="ann")

        async with store.begin() as tx:
            await tx.postpone_replays([letter.number], until=now + SOON)

        async with store.begin() as tx:
            assert await tx.due_replays(path, limit=10) == []

    async def test_a_letter_is_settled_once(self, store: Store, dead: Build, cause: str) -> None:
        await bury(store, dead())
        (letter,) = await open_letters(store, cause)
        job = a_job_id()

        first = await settle(store, letter, retried_as=job)
        again = await settle(store, letter)

        assert (first, again) == ([letter.number], [])
        async with store.begin() as tx:
            found = await tx.letter(letter.number)
        assert found is not None
        assert (found.settled, found.settled_by, found.retried_as) == (Settled.REPLAYED, "ann", job)
        assert await open_letters(store, cause) == []

    async def test_what_is_open_of_some_jobs_is_found(
        self, store: Store, dead: Build, cause: str
    ) -> None:
        died, settled, other = [
            dead(source=Source.JOB, message=job, job=job)
            for job in (a_job_id(), a_job_id(), a_job_id())
        ]
        message = dead(job=died.job)  # about the job, and not its death
        await bury(store, died, settled, other, message)
        found = {each.letter.message: each for each in await open_letters(store, cause)}
        await settle(store, found[settled.message])

        async with store.begin() as tx:
            letters = await tx.letters_of([job for job in (died.job, settled.job) if job])
            none = await tx.letters_of([])

        assert [each.number for each in letters] == [found[died.message].number]
        assert none == []

    async def test_an_unknown_letter_is_none(self, store: Store) -> None:
        async with store.begin() as tx:
            assert await tx.letter(2**40) is None

    async def test_deeds_are_kept_with_their_time(self, store: Store, cause: str) -> None:
        deeds = [Deed("ann", "replay", cause, {"count": 3}), Deed("bob", "discard", cause)]

        async with store.begin() as tx:
            await tx.audit(deeds)
            await tx.audit([])

        async with store.begin() as tx:
            latest = await tx.audited(before=None, limit=2)
            older = await tx.audited(before=latest[0].number, limit=1)
        assert {each.deed.who for each in latest} == {"ann", "bob"}
        assert all(each.deed in deeds for each in latest)
        assert older == latest[1:]


async def bury(store: Store, *letters: DeadLetter) -> int:
    async with store.begin() as tx:
        return await tx.bury(letters)


async def open_letters(store: Store, cause: str, **query: Any) -> list[Parked]:
    async with store.begin() as tx:
        return await tx.letters(LetterQuery(fingerprint=cause, **query))


async def settle(store: Store, letter: Parked, **fields: Any) -> list[int]:
    async with store.begin() as tx:
        settlement = Settlement(letter.number, Settled.REPLAYED, "ann", **fields)
        return await tx.settle_letters([settlement])
