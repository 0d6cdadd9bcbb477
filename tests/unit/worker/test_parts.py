"""A worker is called to run its part of a job: it brings what that takes, waits for the others, and speaks if it is the first."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from headrace.contracts.frames import Token
from headrace.contracts.messages import Claim, Refusal
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import Answer, ScriptedDispatcher
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


@pytest.fixture
def options(options: WorkerOptions) -> WorkerOptions:
    lane = replace(options.lanes[0], gang=True)
    limits = replace(options.limits, lease_s=3.0)  # it is heard once a second
    return replace(options, lanes=[lane], devices=["4", "5"], at="this-host", limits=limits)


@pytest.fixture
def dispatcher(dispatcher: ScriptedDispatcher) -> ScriptedDispatcher:
    dispatcher.lease_s = 3.0
    return dispatcher


def silent(_: Claim) -> Answer:
    """The others have not come."""
    return None


def only_alone(claim: Claim) -> Answer:
    return None if claim.at is not None else refused(claim)


def refused(claim: Claim) -> Answer:
    return Refusal(claim.id, claim.job, "stale")


async def test_the_first_runs_its_part_and_reports(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", act="part", gpus=2)
        result = await dispatcher.result("job")

    part = {"rank": 0, "of": 2, "at": "first:29500"}
    assert result.output == {"part": part, "devices": ["4", "5"]}
    assert Token("my part") in await frames_of(options.streams, "job")


async def test_it_says_where_the_others_meet_it_and_nobody_else_listens_there(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silent
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) > 0)
        host, _, port = (dispatcher.claims[0].at or "").rpartition(":")

        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("", int(port)))

    assert host == "this-host"


async def test_the_others_say_nothing_and_stay_until_it_is_over(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", rank=1, act="part")
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.call(options.worker, "next", "play", act="part")
        await eventually(lambda: is_held(dispatcher, "job"))
        claimed = [claim.job for claim in dispatcher.claims]
        await dispatcher.hint(options.worker, "job", "lost")
        await dispatcher.call(options.worker, "next", "play", act="part")
        await dispatcher.result("next")

    assert claimed == ["job"]
    assert [result.job for result in dispatcher.results] == ["next"]
    assert Token("my part") not in await frames_of(options.streams, "job")


def is_held(dispatcher: ScriptedDispatcher, job: str) -> bool:
    """By a worker that was heard of after its part began."""
    beats = [str(beat.job) for each in dispatcher.heartbeats for beat in each.heartbeats]
    return beats.count(job) >= 2  # one comes with the claim


async def test_when_a_part_fails_its_worker_says_so_if_the_first_has_not(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, first_word_s=0.1):
        await dispatcher.call(options.worker, "job", "play", rank=1, act="busy")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("transient", "come back later")


async def test_when_the_first_has_said_it_nobody_says_it_again(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, first_word_s=60.0):
        await dispatcher.call(options.worker, "job", "play", rank=1, act="busy")
        await eventually(lambda: is_held(dispatcher, "job"))
        await dispatcher.hint(options.worker, "job", "lost")
        await dispatcher.call(options.worker, "next", "play", act="part")
        await dispatcher.result("next")

    assert [result.job for result in dispatcher.results] == ["next"]


async def test_a_part_whose_memory_is_short_says_so_at_once(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, first_word_s=3600.0):
        await dispatcher.call(options.worker, "job", "play", rank=1, act="out of memory")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert result.error.kind == "resource"


async def test_a_part_ends_when_it_is_told_that_the_attempt_is_lost(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", rank=1, act="hang")
        await eventually(lambda: is_held(dispatcher, "job"))
        await dispatcher.hint(options.worker, "job", "lost")
        await dispatcher.call(options.worker, "next", "play", act="part", gpus=2)
        after = await dispatcher.result("next")

    assert after.outcome == "succeeded"
    assert len(dispatcher.results) == 1


async def test_a_worker_that_leaves_does_not_wait_for_the_first_to_report(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, drain_s=0.1) as worker:
        await dispatcher.call(options.worker, "job", "play", rank=1, act="part")
        await eventually(lambda: is_held(dispatcher, "job"))
        worker.stop.set()
        await worker.ended()

    assert dispatcher.results == []


async def test_a_part_that_its_worker_gives_back_gives_back_the_attempt(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, drain_s=0.1) as worker:
        await dispatcher.call(options.worker, "job", "play", rank=1, act="wait")
        await eventually(lambda: is_held(dispatcher, "job"))
        worker.stop.set()
        result = await dispatcher.result("job")

    assert result.outcome == "released"


async def test_one_slot_answers_however_often_the_worker_is_called(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silent
    async with working(options, lane={"slots": 2}):
        for _ in range(3):
            await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) >= 3)

    assert len({claim.id for claim in dispatcher.claims}) == 1


async def test_while_one_slot_waits_for_the_others_the_next_takes_what_is_offered(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = only_alone
    async with working(options, lane={"slots": 2}):
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) >= 1)
        await dispatcher.offer("alone", "play")
        await eventually(lambda: "alone" in {claim.job for claim in dispatcher.claims})


async def test_who_is_refused_takes_offers_again(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = refused
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) == 1)
        dispatcher.answer = None
        await dispatcher.offer("alone", "play")
        result = await dispatcher.result("alone")

    assert result.outcome == "succeeded"


async def test_whoever_waits_for_too_long_goes_on_and_gives_back_what_comes_too_late(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = only_alone
    async with working(options, gather_s=0.5):
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) >= 1)
        late = dispatcher.claims[0]
        await dispatcher.offer("alone", "play")
        await eventually(lambda: dispatcher.claims[-1].job == "alone")
        await dispatcher.tell_grant(options.worker, late)
        given_back = await dispatcher.result("job")

    assert given_back.outcome == "released"


async def test_it_does_not_claim_before_it_has_the_devices(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"slots": 2}):
        await dispatcher.offer("alone", "play", act="wait", gpus=2)
        await eventually(lambda: is_held(dispatcher, "alone"))
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.heartbeats) > 0)
        before = [claim.job for claim in dispatcher.claims]
        await dispatcher.hint(options.worker, "alone", "cancel")
        result = await dispatcher.result("job")

    assert before == ["alone"]
    assert result.output is not None
    assert len(result.output["devices"]) == 1


async def test_a_call_for_more_devices_than_there_are_is_not_answered(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.call(options.worker, "job", "play", act="part", gpus=3)
        await dispatcher.call(options.worker, "next", "play", act="part", gpus=2)
        await dispatcher.result("next")

    assert [claim.job for claim in dispatcher.claims] == ["next"]


async def test_who_drains_waits_for_nobody(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silent
    async with working(options) as worker:
        await dispatcher.call(options.worker, "job", "play", act="part")
        await eventually(lambda: len(dispatcher.claims) >= 1)
        worker.stop.set()

        await eventually(lambda: len(dispatcher.goodbyes) == 1, within=5)


async def test_it_says_where_it_can_be_met_only_if_it_can(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await eventually(lambda: len(dispatcher.heartbeats) > 0)
    reached = dispatcher.heartbeats[-1].vitals
    dispatcher.heartbeats.clear()
    async with working(replace(options, at=None)):
        await eventually(lambda: len(dispatcher.heartbeats) > 0)
    alone = dispatcher.heartbeats[-1].vitals

    assert reached is not None
    assert alone is not None
    assert (reached.at, alone.at) == ("this-host", None)
