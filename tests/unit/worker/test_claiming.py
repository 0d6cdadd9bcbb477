"""Claims: sent until they are answered, with one id; an answer that comes too late goes back."""

from __future__ import annotations

import pytest

from headrace.contracts.ids import JobId
from headrace.contracts.messages import Claim, Grant, Grants, Refusal
from headrace.core.ports.bus import REASON_HEADER, Parcel
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.waits import eventually
from headrace.testkit.working import working


def silence(claim: Claim) -> None:
    pass


async def test_a_claim_without_an_answer_is_sent_again_as_the_same_claim(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silence

    async with working(options):
        await dispatcher.offer("job", "play")
        await eventually(lambda: len(dispatcher.claims) >= 2, within=10)
        dispatcher.answer = None
        result = await dispatcher.result("job")

    assert result.outcome == "succeeded"
    assert len({claim.id for claim in dispatcher.claims}) == 1


async def test_a_worker_says_hello_now_and_then_so_that_its_engines_are_remembered(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    cards = [lane.card for lane in options.lanes]

    async with working(options, hello_s=0.05):
        await eventually(lambda: [each.engines for each in dispatcher.hellos[-2:]] == 2 * [cards])


async def test_a_refused_offer_is_settled_and_the_next_one_taken(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = lambda claim: Refusal(claim.id, claim.job, "taken")

    async with working(options):
        await dispatcher.offer("taken", "play")
        await eventually(lambda: dispatcher.claims, within=10)
        dispatcher.answer = None
        await dispatcher.offer("free", "play")
        await dispatcher.result("free")

        depth = await options.bus.depth(options.topology.work(options.lanes[0].lane))

    assert [claim.job for claim in dispatcher.claims] == ["taken", "free"]
    assert depth.ready == 0


async def test_an_offer_goes_back_when_the_dispatcher_stays_silent(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.answer = silence

    async with working(options, claim_patience_s=0.1):
        await dispatcher.offer("job", "play")
        await eventually(lambda: len({claim.id for claim in dispatcher.claims}) >= 2, within=10)
        dispatcher.answer = None
        result = await dispatcher.result("job")

    assert result.outcome == "succeeded"


async def test_a_grant_that_nobody_waits_for_any_more_is_given_back(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    late: list[Claim] = []
    dispatcher.answer = late.append

    async with working(options, claim_patience_s=0.1):
        await dispatcher.offer("job", "play")
        await eventually(lambda: len({claim.id for claim in late}) >= 2, within=10)
        grant: Grant = await dispatcher.grant(late[0])
        await dispatcher.tell(options.worker, Grants([grant]))
        result = await dispatcher.result("job")

    assert result.outcome == "released"


async def test_a_grant_that_comes_twice_is_run_once(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play")
        await dispatcher.result("job")
        await dispatcher.tell(
            options.worker, Grants([await dispatcher.grant(dispatcher.claims[0])])
        )
        await dispatcher.offer("after", "play")
        await dispatcher.result("after")

    assert [result.job for result in dispatcher.results] == ["job", "after"]


async def test_what_is_no_offer_is_parked(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    queue = options.topology.work(options.lanes[0].lane)

    async with working(options):
        await dispatcher.offer("job", "play")
        await options.bus.send([Parcel(queue, b"no offer")])
        await dispatcher.result("job")

        async def parked() -> bool:
            return (await options.bus.depth(options.topology.dead)).ready == 1

        await eventually(parked)

    assert dispatcher.results[0].job == JobId("job")


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff", b'{"kind":"grants.v99","answers":[]}', b'{"kind":"goodbye.v1","worker":"w"}'],
)
async def test_what_does_not_belong_in_its_mailbox_is_parked_and_work_goes_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, nonsense: bytes
) -> None:
    async with working(options):
        await dispatcher.offer("before", "play")
        await dispatcher.result("before")
        await options.bus.send([Parcel(options.topology.mailbox(options.worker), nonsense)])
        async with options.bus.receive(options.topology.dead, prefetch=1) as dead:
            parked = await anext(dead)
            await parked.ack()
        await dispatcher.offer("after", "play")
        await dispatcher.result("after")

    assert parked.body == nonsense
    assert parked.headers[REASON_HEADER]
