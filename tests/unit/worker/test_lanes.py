"""One worker serves several lanes at once, each child within its memory."""

from __future__ import annotations

from dataclasses import replace

from headrace.contracts.frames import Token
from headrace.contracts.ids import Lane
from headrace.engines.registry import card
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.play import PlayEngine
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


def of_two_lanes(options: WorkerOptions, *, process_mib: int | None = None) -> WorkerOptions:
    """`training` beside `play`, as an operator would set it up."""
    (play,) = options.lanes
    other = replace(play, card=card(Lane("training"), PlayEngine), process_mib=process_mib)
    return replace(options, lanes=[play, other])


async def begun(options: WorkerOptions, job: str) -> None:
    async def says_something() -> bool:
        return any(isinstance(each, Token) for each in await frames_of(options.streams, job))

    await eventually(says_something, within=10)


async def test_a_long_training_keeps_no_inference_waiting(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(of_two_lanes(options), drain_s=0.1):
        await dispatcher.offer("long", "training", act="wait")
        await begun(options, "long")
        for number in range(3):
            await dispatcher.offer(f"short-{number}", "play", act="say")
            assert (await dispatcher.result(f"short-{number}")).outcome == "succeeded"

        assert [each.job for each in dispatcher.results] == ["short-0", "short-1", "short-2"]


async def test_who_takes_more_memory_than_its_lane_allows_ends_alone_and_is_told_why(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(of_two_lanes(options, process_mib=200), memory_s=0.05, drain_s=0.1):
        await dispatcher.offer("beside", "play", act="wait")
        await begun(options, "beside")
        await dispatcher.offer("large", "training", act="grow")
        large = await dispatcher.result("large")
        await dispatcher.offer("next", "training", act="say")
        after = await dispatcher.result("next")

        assert [each.job for each in dispatcher.results] == ["large", "next"]

    assert large.error is not None
    assert (large.outcome, large.error.kind) == ("failed", "resource")
    assert "in this lane 200 MiB are the most" in large.error.message
    assert after.outcome == "succeeded"


async def test_within_its_memory_nothing_happens_to_it(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(of_two_lanes(options, process_mib=1000), memory_s=0.01):
        await dispatcher.offer("job", "training", act="flood", times=2000)

        assert (await dispatcher.result("job")).outcome == "succeeded"
