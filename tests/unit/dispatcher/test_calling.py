"""The pool of calls: bounded, fair between tenants and hosts, shared, and no job's business."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from headrace.contracts.ids import TenantId
from headrace.core.job import Event, Job, Webhook, advance
from headrace.core.ports.receivers import Answer
from headrace.core.ports.store import Change, NewJob, Store
from headrace.core.ports.webhooks import Call, CallQuery, CallState
from headrace.core.usecases.call_receivers import Pool
from headrace.core.webhooks import host_of
from headrace.dispatcher.calling import Caller
from headrace.dispatcher.options import Chance, DispatcherOptions
from headrace.testkit.builders import a_job
from headrace.testkit.unruly import UnrulyStore
from headrace.testkit.waits import eventually

POOL = Pool(in_all=6, per_tenant=4, per_host=2)
OPTIONS = DispatcherOptions(path="local", calls=POOL, calls_every=timedelta(seconds=0.02))
SLOW, QUICK = "https://slow.example/", "https://quick.example/"


@dataclass
class Receivers:
    """Some hosts hang until they are let go."""

    hanging: set[str] = field(default_factory=set)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[str, str]] = field(default_factory=list)  # host and webhook-id
    busy: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    break_: bool = False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        host = host_of(url)
        self.seen.append((host, headers["webhook-id"]))
        if self.break_:
            raise RuntimeError("a driver's mistake")
        for name in (host, "all"):
            self.busy[name] += 1
            self.most[name] = max(self.most[name], self.busy[name])
        try:
            if host in self.hanging:
                await self.let_go.wait()
        finally:
            self.busy[host] -= 1
            self.busy["all"] -= 1
        return Answer(204)


async def ended(store: Store, url: str, *, tenant: str = "tenant", count: int = 1) -> list[Job]:
    """So many jobs that were cancelled, and whose owner asked to be told."""
    new = [a_job(tenant=TenantId(tenant), webhook=Webhook(url)) for _ in range(count)]
    async with store.begin() as tx:
        await tx.insert([NewJob(job) for job in new])
        jobs = await tx.load([job.id for job in new])
        changes = [Change(job, advance(job, Event.CANCEL_ASKED)[1]) for job in jobs.values()]
        assert all(await tx.save(changes))
    return list(jobs.values())


async def of(store: Store, jobs: list[Job]) -> list[Call]:
    async with store.begin() as tx:
        return [call for job in jobs for call in await tx.calls(CallQuery(job=job.id))]


def all_are(store: Store, jobs: list[Job], state: CallState) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return {call.state for call in await of(store, jobs)} == {state}

    return look


@asynccontextmanager
async def calling(
    store: Store, receivers: Receivers, options: DispatcherOptions = OPTIONS
) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    caller = Caller(store, receivers, options, Chance(Random(1), lambda: "id"))
    async with asyncio.TaskGroup() as group:
        group.create_task(caller.serve(stop))
        try:
            yield
        finally:
            receivers.let_go.set()
            stop.set()


async def test_a_receiver_that_hangs_holds_its_share_and_nobody_else(store: Store) -> None:
    receivers = Receivers(hanging={"slow.example"})
    await ended(store, SLOW, count=20)
    async with calling(store, receivers):
        await eventually(lambda: receivers.busy["slow.example"] == POOL.per_host)
        own = await ended(store, QUICK, count=5)
        others = await ended(store, QUICK, tenant="other", count=5)
        await eventually(all_are(store, own, CallState.DELIVERED))
        await eventually(all_are(store, others, CallState.DELIVERED))
        assert receivers.busy["slow.example"] == POOL.per_host

    assert receivers.most["slow.example"] == POOL.per_host
    assert receivers.most["all"] <= POOL.in_all


async def test_a_tenant_with_many_slow_hosts_leaves_room_for_others(store: Store) -> None:
    hosts = [f"slow-{n}.example" for n in range(10)]
    receivers = Receivers(hanging=set(hosts))
    for host in hosts:
        await ended(store, f"https://{host}/", tenant="greedy", count=2)
    async with calling(store, receivers):
        await eventually(lambda: receivers.busy["all"] == POOL.per_tenant)
        others = await ended(store, QUICK, tenant="other", count=10)
        await eventually(all_are(store, others, CallState.DELIVERED))
        assert receivers.busy["all"] == POOL.per_tenant


async def test_two_dispatchers_make_each_call_once(store: Store) -> None:
    receivers = Receivers()
    jobs = [job for n in range(6) for job in await ended(store, f"https://h{n}.example/", count=5)]
    async with calling(store, receivers), calling(store, receivers):
        await eventually(all_are(store, jobs, CallState.DELIVERED))
    assert len(receivers.seen) == len(set(receivers.seen)) == len(jobs)


async def test_what_a_dispatcher_left_in_the_middle_another_makes_again(store: Store) -> None:
    receivers = Receivers(hanging={"slow.example"})
    jobs = await ended(store, SLOW)
    brief = replace(OPTIONS, call_lease=timedelta(seconds=0.3))
    first = Caller(store, receivers, brief, Chance(Random(1), lambda: "id"))
    killed = asyncio.get_running_loop().create_task(first.serve(asyncio.Event()))
    await eventually(lambda: receivers.busy["slow.example"] == 1)
    killed.cancel()
    await asyncio.wait([killed])
    receivers.hanging.clear()

    async with calling(store, receivers, brief):
        await eventually(all_are(store, jobs, CallState.DELIVERED))

    assert len(receivers.seen) == 2
    assert len(set(receivers.seen)) == 1  # its id says that it is the same


async def test_a_stop_does_not_wait_for_a_receiver_that_hangs(store: Store) -> None:
    receivers = Receivers(hanging={"slow.example"})
    await ended(store, SLOW)
    stop = asyncio.Event()
    caller = Caller(store, receivers, OPTIONS, Chance(Random(1), lambda: "id"))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(caller.serve(stop))
        await eventually(lambda: receivers.busy["slow.example"] == 1)
        stop.set()
    assert receivers.busy["slow.example"] == 0


async def test_a_driver_s_mistake_costs_one_try(store: Store) -> None:
    receivers = Receivers(break_=True)
    jobs = await ended(store, QUICK)

    async def noted() -> bool:
        return [len(call.log) for call in await of(store, jobs)] == [1]

    async with calling(store, receivers):
        await eventually(noted)
    (call,) = await of(store, jobs)
    assert (call.state, call.log[0].error) == (CallState.WAITING, "it could not be called")


async def test_an_outage_of_the_store_in_the_middle_of_a_call_ends_nothing(store: Store) -> None:
    receivers = Receivers(hanging={"slow.example"})
    unruly = UnrulyStore(store)
    jobs = await ended(store, SLOW)
    brief = replace(OPTIONS, call_lease=timedelta(seconds=0.3))
    async with calling(unruly, receivers, brief):
        await eventually(lambda: receivers.busy["slow.example"] == 1)
        unruly.away = True
        receivers.let_go.set()
        await eventually(lambda: receivers.busy["slow.example"] == 0)
        unruly.away = False
        await eventually(all_are(store, jobs, CallState.DELIVERED))
