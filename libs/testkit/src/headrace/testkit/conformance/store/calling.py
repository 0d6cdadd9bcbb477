"""Webhooks: a call is made with the move it tells of, tried by one at a time, and kept as a log."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from headrace.contracts.ids import CallId, EndpointId, TenantId
from headrace.core.job import Event, Job, State, Webhook
from headrace.core.ports.store import Change, Store
from headrace.core.ports.webhooks import (
    OF_JOBS,
    Call,
    CallQuery,
    CallState,
    Endpoint,
    Queue,
    Signing,
    Try,
)
from headrace.testkit.builders import an_endpoint
from headrace.testkit.conformance.store.room import SOON, Boom, StoreRoom, grant, move, put

HOOK = Webhook("https://receiver.example/hook")


async def calls_of(store: Store, job: Job) -> list[Call]:
    """Oldest first."""
    async with store.begin() as tx:
        found = await tx.calls(CallQuery(job=job.id))
    return sorted(found, key=lambda each: (each.created_at, each.type))


async def keep(store: Store, **fields: Any) -> Endpoint:
    async with store.begin() as tx:
        return await tx.insert_endpoint(an_endpoint(**fields))


async def a_call(store: Store, new: Any, url: str = HOOK.url) -> Call:
    """One that waits."""
    (job,) = await put(store, new(webhook=Webhook(url)))
    await move(store, job, Event.CANCEL_ASKED)
    (call,) = await calls_of(store, job)
    return call


async def due(store: Store, queue: Queue) -> list[Call]:
    async with store.begin() as tx:
        return await tx.due_calls(queue, await tx.now() + timedelta(seconds=1), limit=10)


async def reserve(store: Store, *calls: Call) -> list[Call]:
    async with store.begin() as tx:
        return await tx.reserve_calls(calls, until=await tx.now() + SOON)


class Calling(StoreRoom):
    @pytest.mark.parametrize(
        ("events", "told"),
        [
            ((), ["job.succeeded"]),
            (("job.started", "job.succeeded"), ["job.started", "job.succeeded"]),
            (("job.failed",), []),
        ],
    )
    async def test_a_job_s_moves_make_the_calls_it_asked_for(
        self, store: Store, new: Any, events: Sequence[str], told: list[str]
    ) -> None:
        hook = Webhook(HOOK.url, tuple(events))
        (job,) = await put(store, new(webhook=hook))

        done = await move(store, await grant(store, job), Event.FINISHED, output={"text": "hi"})

        made = await calls_of(store, job)
        assert done.spec.webhook == hook
        assert [each.type for each in made] == told
        assert {each.state for each in made} <= {CallState.WAITING}
        assert {each.url for each in made} <= {HOOK.url}

    async def test_a_call_says_what_the_store_knows(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new(webhook=HOOK, trace="00-aa-bb-01"))

        done = await move(store, await grant(store, job), Event.FINISHED, output={"text": "hi"})

        (call,) = await calls_of(store, job)
        said = msgspec.json.decode(call.body)
        assert said["data"]["result"] == {"text": "hi"}
        assert msgspec.convert(said["data"]["finished_at"], type=type(done.finished_at)) == (
            done.finished_at
        )
        assert "input" not in said["data"]
        assert call.trace == "00-aa-bb-01"

    async def test_every_endpoint_of_the_tenant_that_wants_it_is_called(
        self, store: Store, tenant: TenantId, new: Any
    ) -> None:
        wants = await keep(store, tenant=tenant)
        await keep(store, tenant=tenant, events=("job.failed",))
        off = await keep(store, tenant=tenant)
        async with store.begin() as tx:
            await tx.save_endpoint(replace(off, disabled_at=await tx.now(), disabled_why="asked"))
        await keep(store, tenant=TenantId(f"{tenant}-other"))
        (job,) = await put(store, new())

        await move(store, job, Event.CANCEL_ASKED)

        made = await calls_of(store, job)
        assert [(each.endpoint, each.type) for each in made] == [(wants.id, "job.cancelled")]

    async def test_a_move_that_is_rolled_back_or_lost_calls_nobody(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new(webhook=HOOK))

        async def break_off() -> None:
            async with store.begin() as tx:
                await tx.save([Change(job, replace(job, state=State.CANCELLED))])
                raise Boom

        with pytest.raises(Boom):
            await break_off()
        await move(store, job, Event.CANCEL_ASKED)

        async with store.begin() as tx:
            lost = await tx.save([Change(job, replace(job, state=State.CANCELLED))])

        assert lost == [False]
        assert len(await calls_of(store, job)) == 1

    async def test_who_asked_for_nothing_is_not_called(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        await move(store, await grant(store, job), Event.FINISHED)
        assert await calls_of(store, job) == []

    async def test_queues_that_are_due_come_in_turns(self, store: Store, new: Any) -> None:
        mark = secrets.token_hex(4)
        first = await a_call(store, new, f"https://{mark}-a.example/")
        second = await a_call(store, new, f"https://{mark}-b.example/")
        later = await a_call(store, new, f"https://{mark}-c.example/")
        async with store.begin() as tx:
            await tx.save_call(later, replace(later, next_at=await tx.now() + SOON))

        async with store.begin() as tx:
            soon = await tx.now() + timedelta(seconds=1)
            before = Queue(TenantId(""), f"{mark}-")
            one, place = await tx.due_queues(soon, after=before, limit=1)
            rest, _ = await tx.due_queues(soon, after=place, limit=1)
            none, _ = await tx.due_queues(soon, after=rest[0], limit=1)

        assert [queue.host for queue in (*one, *rest)] == [first.host, second.host]
        assert (place, none) == (one[0], [])

    async def test_a_call_that_is_reserved_is_nobody_else_s_for_a_while(
        self, store: Store, new: Any
    ) -> None:
        call = await a_call(store, new)
        queue = Queue(call.tenant, call.host)

        (mine,) = await reserve(store, *await due(store, queue))

        assert (mine.tries, await due(store, queue)) == (1, [])
        assert await reserve(store, call) == []  # as it was read before
        async with store.begin() as tx:
            lapsed = await tx.due_calls(queue, await tx.now() + 2 * SOON, limit=10)
        assert lapsed == [mine]

    async def test_what_comes_too_late_is_not_written(self, store: Store, new: Any) -> None:
        call = await a_call(store, new)
        (early,) = await reserve(store, call)
        (late,) = await reserve(store, early)
        async with store.begin() as tx:
            now = await tx.now()
            done = replace(
                late,
                state=CallState.DELIVERED,
                next_at=None,
                settled_at=now,
                log=(Try(now, 204, None, 12),),
            )
            stale = await tx.save_call(early, replace(early, next_at=now))
            saved = await tx.save_call(late, done)

        async with store.begin() as tx:
            found = await tx.call(call.tenant, call.id)
            strangers = await tx.call(TenantId("another"), call.id)
        assert (stale, saved, found, strangers) == (False, True, done, None)
        assert await due(store, Queue(call.tenant, call.host)) == []

    async def test_calls_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId, new: Any
    ) -> None:
        made = [await a_call(store, new) for _ in range(3)]
        newest_first = sorted(made, key=lambda each: (each.created_at, each.id), reverse=True)

        async with store.begin() as tx:
            first = await tx.calls(CallQuery(tenant=tenant, limit=2))
            before = (first[-1].created_at, first[-1].id)
            rest = await tx.calls(CallQuery(tenant=tenant, before=before))
            done = await tx.calls(CallQuery(tenant=tenant, state=CallState.DELIVERED))

        assert ([*first, *rest], done) == (newest_first, [])

    async def test_old_calls_are_forgotten_but_for_those_that_wait(
        self, store: Store, new: Any
    ) -> None:
        waits, done = await a_call(store, new), await a_call(store, new)
        async with store.begin() as tx:
            now = await tx.now()
            settled = replace(done, state=CallState.GIVEN_UP, next_at=None, settled_at=now)
            await tx.save_call(done, settled)
            await tx.purge_calls(created_before=now - SOON, limit=1000)
            kept = await tx.call(None, done.id)
            await tx.purge_calls(created_before=now + SOON, limit=1000)

        async with store.begin() as tx:
            assert kept == settled
            assert await tx.call(None, done.id) is None
            assert await tx.call(None, waits.id) == waits
            assert await tx.call(None, CallId("none")) is None

    async def test_a_job_that_is_purged_takes_its_calls_with_it(
        self, store: Store, new: Any
    ) -> None:
        call = await a_call(store, new)
        async with store.begin() as tx:
            # No other test of a shared store ends a job in the past.
            await tx.purge_jobs(finished_before=await tx.now() + SOON, limit=100_000)
        async with store.begin() as tx:
            assert await tx.call(None, call.id) is None


class Subscribing(StoreRoom):
    async def test_an_endpoint_comes_back_as_it_was(self, store: Store, tenant: TenantId) -> None:
        kept = await keep(store, tenant=tenant, events=("job.dead",), note="ß")

        async with store.begin() as tx:
            found = await tx.endpoint(tenant, kept.id)
            others = await tx.endpoint(TenantId("another"), kept.id)
            known = await tx.known_endpoints([kept.id, EndpointId("none")])

        assert (found, others, known) == (kept, None, {kept.id: kept})
        assert kept.created_at is not None

    async def test_endpoints_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        made = [await keep(store, tenant=tenant) for _ in range(3)]
        await keep(store, tenant=TenantId(f"{tenant}-other"))

        async with store.begin() as tx:
            first = await tx.endpoints(tenant, before=None, limit=2)
            assert first[-1].created_at is not None
            before = (first[-1].created_at, first[-1].id)
            rest = await tx.endpoints(tenant, before=before, limit=2)
            everybody_s = await tx.endpoints(None, before=None, limit=1)

        newest_first = sorted(made, key=lambda each: (str(each.created_at), each.id), reverse=True)
        assert [*first, *rest] == newest_first
        assert everybody_s[0].tenant == f"{tenant}-other"

    async def test_a_saved_endpoint_has_changed(self, store: Store, tenant: TenantId) -> None:
        kept = await keep(store, tenant=tenant)
        async with store.begin() as tx:
            changed = replace(
                kept,
                url="https://other.example/",
                events=("job.started",),
                note="new",
                failing_since=await tx.now(),
                disabled_at=await tx.now(),
                disabled_why="it answered 410",
            )
            await tx.save_endpoint(changed)

        async with store.begin() as tx:
            assert await tx.endpoint(tenant, kept.id) == changed

    async def test_a_secret_is_made_once_and_goes_with_its_endpoint(
        self, store: Store, tenant: TenantId
    ) -> None:
        kept = await keep(store, tenant=tenant)
        fresh = iter(["one", "two", "three"])
        async with store.begin() as tx:
            first = await tx.signing(tenant, kept.id, lambda: next(fresh))
            again = await tx.signing(tenant, kept.id, lambda: next(fresh))
            turned = Signing("new", "one", await tx.now() + SOON)
            await tx.save_signing(tenant, kept.id, turned)
        async with store.begin() as tx:
            found = await tx.signing(tenant, kept.id, lambda: next(fresh))
            other = await tx.signing(tenant, OF_JOBS, lambda: next(fresh))
            gone = await tx.delete_endpoint(tenant, kept.id)
            gone_again = await tx.delete_endpoint(tenant, kept.id)
            anew = await tx.signing(tenant, kept.id, lambda: next(fresh))

        assert (first, again, found) == (Signing("one"), Signing("one"), turned)
        assert (other, anew) == (Signing("two"), Signing("three"))
        assert (gone, gone_again) == (True, False)

    async def test_nobody_deletes_another_tenant_s(self, store: Store, tenant: TenantId) -> None:
        kept = await keep(store, tenant=tenant)
        async with store.begin() as tx:
            assert not await tx.delete_endpoint(TenantId("another"), kept.id)
            assert await tx.endpoint(tenant, kept.id) == kept

    async def test_of_two_who_turn_a_secret_at_once_one_does(
        self, store: Store, tenant: TenantId
    ) -> None:
        async with store.begin() as tx:
            await tx.signing(tenant, OF_JOBS, lambda: "one")
            until = await tx.now() + SOON
            await tx.save_signing(tenant, OF_JOBS, Signing("two", "one", until))
            await tx.save_signing(tenant, OF_JOBS, Signing("three", "one", until))
            found = await tx.signing(tenant, OF_JOBS, lambda: "four")
        assert found == Signing("two", "one", until)
