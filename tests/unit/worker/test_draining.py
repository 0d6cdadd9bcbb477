"""Stopping a worker: finish, or give back; and say goodbye."""

from __future__ import annotations

import asyncio

import pytest

from headrace.contracts.ids import JobId
from headrace.contracts.messages import Claim, Orders
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


def silence(claim: Claim) -> None:
    pass


async def begun(options: WorkerOptions, job: str) -> None:
    async def says_something() -> bool:
        return len(await frames_of(options.streams, job)) > 1

    await eventually(says_something, within=10)


async def test_a_running_job_may_finish(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options) as worker:
        await dispatcher.offer("job", "play", act="flood", times=20_000)
        await begun(options, "job")
        worker.stop.set()
        result = await dispatcher.result("job")
        await worker.ended()

    assert result.outcome == "succeeded"


async def test_what_does_not_finish_in_time_is_released(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, drain_s=0.1) as worker:
        await dispatcher.offer("job", "play", act="wait")
        await begun(options, "job")
        worker.stop.set()
        result = await dispatcher.result("job")
        await worker.ended()

    assert result.outcome == "released"


async def test_an_idle_worker_leaves_at_once_and_says_so(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, drain_s=60) as worker:
        await eventually(lambda: dispatcher.hellos, within=10)
        worker.stop.set()
        await worker.ended(within=5)
        await eventually(lambda: dispatcher.goodbyes)

    assert dispatcher.goodbyes[0].worker == options.worker


async def test_a_worker_that_stops_takes_no_more_offers(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options) as worker:
        await dispatcher.offer("job", "play", act="flood", times=20_000)
        await begun(options, "job")
        worker.stop.set()
        await dispatcher.offer("next", "play")
        await worker.ended()

    depth = await options.bus.depth(options.topology.work(options.lanes[0].lane))
    assert depth.ready == 1
    assert [claim.job for claim in dispatcher.claims] == ["job"]


async def test_an_offer_in_hand_goes_back_when_its_claim_is_not_answered(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silence

    async with working(options) as worker:
        await dispatcher.offer("job", "play")
        await eventually(lambda: dispatcher.claims, within=10)
        worker.stop.set()
        await worker.ended()

    depth = await options.bus.depth(options.topology.work(options.lanes[0].lane))
    assert depth.ready == 1


async def test_a_grant_that_comes_while_stopping_is_given_back(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    asked = asyncio.Event()

    def note(claim: Claim) -> None:
        asked.set()

    dispatcher.answer = note
    async with working(options, claim_answer_s=5) as worker:
        await dispatcher.offer("job", "play")
        await asked.wait()
        worker.stop.set()
        await dispatcher.tell_grant(options.worker, dispatcher.claims[0])
        result = await dispatcher.result("job")
        await worker.ended()

    assert result.outcome == "released"


@pytest.mark.parametrize("act", ["wait", "hang"])
async def test_a_worker_whose_grace_is_over_gives_back_what_it_has(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, act: str
) -> None:
    async with working(options, drain_s=60, cancel_grace_s=60) as worker:
        await dispatcher.offer("job", "play", act=act)
        await begun(options, "job")
        worker.stop.set()
        worker.task.cancel()
        result = await dispatcher.result("job")
        with pytest.raises(asyncio.CancelledError):
            await worker.ended()

    assert (result.job, result.outcome) == (JobId("job"), "released")


async def draining(dispatcher: ScriptedDispatcher, *, said: bool) -> None:
    """Once the worker's heartbeats say so."""

    def told() -> bool:
        vitals = dispatcher.heartbeats[-1].vitals if dispatcher.heartbeats else None
        return vitals is not None and vitals.draining is said

    await eventually(told, within=10)


async def test_who_is_told_to_drain_finishes_and_takes_nothing_new_until_told_otherwise(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1):
        await dispatcher.offer("first", "play", act="flood", times=20_000)
        await begun(options, "first")
        dispatcher.drain = True
        await draining(dispatcher, said=True)
        await dispatcher.offer("second", "play")
        finished = await dispatcher.result("first")
        while_draining = list(dispatcher.claims)
        depth = await options.bus.depth(options.topology.work(options.lanes[0].lane))
        dispatcher.drain = False
        afterwards = await dispatcher.result("second")

    assert finished.outcome == "succeeded"
    assert [claim.job for claim in while_draining] == ["first"]
    assert (depth.ready, depth.consumers) == (1, 0)
    assert afterwards.outcome == "succeeded"


async def test_an_idle_worker_that_drains_hands_back_its_place_at_the_queue(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    queue = options.topology.work(options.lanes[0].lane)

    async def nobody_listens() -> bool:
        return (await options.bus.depth(queue)).consumers == 0

    async with working(options, heartbeat_s=0.1) as worker:
        await eventually(lambda: dispatcher.hellos, within=10)
        dispatcher.drain = True
        await eventually(nobody_listens, within=10)
        worker.stop.set()
        await worker.ended(within=5)

    assert dispatcher.goodbyes


async def test_a_hint_says_nothing_about_draining(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1):
        dispatcher.drain = True
        await draining(dispatcher, said=True)
        beats = len(dispatcher.heartbeats)
        dispatcher.deaf = True
        await dispatcher.tell(options.worker, Orders(30.0, []))
        await eventually(lambda: len(dispatcher.heartbeats) > beats + 2, within=10)

    assert dispatcher.heartbeats[-1].vitals is not None
    assert dispatcher.heartbeats[-1].vitals.draining
