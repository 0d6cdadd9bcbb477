"""Taking calls that are due: in turns, up to what is free, and only where there is somebody to call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from headrace.contracts.ids import TenantId
from headrace.core.errors import NobodyToCall
from headrace.core.job import Event, Job, Webhook, advance
from headrace.core.ports.receivers import Answer
from headrace.core.ports.store import Change, NewJob, Store
from headrace.core.ports.webhooks import Call, CallQuery, CallState, Endpoint
from headrace.core.usecases.call_receivers import Pool, Room, Taken, note_answer, take_calls
from headrace.core.usecases.webhooks import (
    Wish,
    change_endpoint,
    delete_endpoint,
    find_call,
    redeliver,
)
from headrace.testkit.builders import a_job, an_endpoint

POOL = Pool(in_all=5, per_tenant=3, per_host=2)


async def take(store: Store, room: Room | None = None) -> Taken:
    return await take_calls(
        store,
        room or Room(POOL),
        after=None,
        lease=timedelta(minutes=1),
        new_secret=lambda: "whsec_c2VjcmV0",
    )


async def cancelled(store: Store, *urls: str, tenant: str = "tenant") -> list[Job]:
    """A job for each address, which is to be told of its end."""
    new = [a_job(tenant=TenantId(tenant), webhook=Webhook(url)) for url in urls]
    async with store.begin() as tx:
        await tx.insert([NewJob(job) for job in new])
        jobs = await tx.load([job.id for job in new])
        await tx.save([Change(job, advance(job, Event.CANCEL_ASKED)[1]) for job in jobs.values()])
    return new


async def subscribed(store: Store) -> tuple[Endpoint, Call]:
    """An endpoint, and a call that waits for it."""
    async with store.begin() as tx:
        endpoint = await tx.insert_endpoint(an_endpoint())
        job = a_job()
        await tx.insert([NewJob(job)])
        await tx.save([Change(job, advance(job, Event.CANCEL_ASKED)[1])])
        (call,) = await tx.calls(CallQuery(job=job.id))
    return endpoint, call


def hosts(taken: Taken) -> list[str]:
    return sorted(each.host for each in taken.outgoing)


async def test_no_host_and_no_tenant_takes_more_than_its_share(store: Store) -> None:
    await cancelled(store, *["https://a.example/"] * 4, "https://b.example/", "https://c.example/")
    await cancelled(store, *["https://a.example/"] * 4, tenant="other")
    await cancelled(store, "https://d.example/", "https://e.example/", tenant="other")

    taken = await take(store)

    assert len(taken.outgoing) == POOL.in_all
    for tenant in ("tenant", "other"):
        mine = [each for each in taken.outgoing if each.call.tenant == tenant]
        assert len(mine) <= POOL.per_tenant
    assert hosts(taken).count("a.example") == POOL.per_host


async def test_what_is_under_way_counts(store: Store) -> None:
    await cancelled(store, *["https://a.example/"] * 3, "https://b.example/")
    first = await take(store, Room(replace(POOL, in_all=2)))
    second = await take(store, Room.beside(POOL, first.outgoing))
    assert hosts(first) == ["a.example", "a.example"]
    assert hosts(second) == ["b.example"]


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "disabled"])
async def test_what_waits_for_an_endpoint_that_is_no_more_is_given_up(
    store: Store, *, gone: bool
) -> None:
    endpoint, call = await subscribed(store)
    async with store.begin() as tx:
        if gone:
            await delete_endpoint(tx, endpoint.tenant, endpoint.id)
        else:
            await change_endpoint(tx, endpoint.tenant, endpoint.id, Wish(enabled=False))

    taken = await take(store)

    async with store.begin() as tx:
        found = await find_call(tx, call.tenant, call.id)
        with pytest.raises(NobodyToCall):
            await redeliver(tx, call.tenant, call.id)
    assert taken.outgoing == []
    assert taken.dropped == [found]
    assert found.state is CallState.GIVEN_UP
    assert found.log[-1].error == f"its endpoint {'was deleted' if gone else 'is disabled'}"


async def test_what_waits_goes_to_where_the_endpoint_is_now(store: Store) -> None:
    endpoint, _ = await subscribed(store)
    async with store.begin() as tx:
        await change_endpoint(tx, endpoint.tenant, endpoint.id, Wish(url="https://new.example/"))
    taken = await take(store)
    assert [each.url for each in taken.outgoing] == ["https://new.example/"]


async def test_an_answer_that_comes_after_the_reservation_lapsed_changes_nothing(
    store: Store,
) -> None:
    endpoint, call = await subscribed(store)
    taken = await take(store)
    (late,) = taken.outgoing
    async with store.begin() as tx:
        await tx.reserve_calls([late.call], until=await tx.now())  # another's, by now

    await note_answer(store, late, Answer(410), random=Random(1))

    async with store.begin() as tx:
        found = await find_call(tx, call.tenant, call.id)
        after = await tx.endpoint(endpoint.tenant, endpoint.id)
    assert (found.state, found.log) == (CallState.WAITING, ())
    assert after == endpoint
