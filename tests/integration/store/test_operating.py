"""The bounds of what operators ask: a search stops and goes on, figures of too much are of less time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headrace.adapters.store.sql import SqlStore, recent, searching
from headrace.contracts.ids import TenantId
from headrace.core.ports.queries import Search
from headrace.testkit.builders import a_new_job

RED = TenantId("red")


async def test_a_search_that_finds_little_stops_and_says_where_to_go_on(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LOOKED_AT", 3)
    async with store.begin() as tx:
        await tx.insert([a_new_job(kind="rare", tenant=RED)])
    async with store.begin() as tx:
        await tx.insert([a_new_job(tenant=RED) for _ in range(3)])

    async with store.begin() as tx:
        first = await tx.search(Search(tenant=RED, kind="rare"))
        second = await tx.search(Search(tenant=RED, kind="rare", before=first.next))

    assert (first.jobs, first.next is None) == ([], False)
    assert [job.spec.kind for job in second.jobs] == ["rare"]
    assert second.next is None


async def test_where_too_much_came_the_figures_say_from_when_on_they_are(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "RECENT", 2)
    async with store.begin() as tx:
        since = await tx.now() - timedelta(minutes=1)
        await tx.insert([a_new_job()])
    async with store.begin() as tx:
        before = await tx.recent(since=since, bucket=timedelta(minutes=5))
        await tx.insert([a_new_job(), a_new_job()])
    async with store.begin() as tx:
        told = await tx.recent(since=since, bucket=timedelta(minutes=5))

    assert (before.accepted, before.since) == ({0: 1}, since)
    assert told.accepted == {0: 2}
    assert told.since > since
