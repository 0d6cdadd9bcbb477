"""Jobs that want several devices: a worker gives them all at one time, or lets them wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.contracts.frames import Progress
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


@pytest.fixture
def options(options: WorkerOptions) -> WorkerOptions:
    lane = replace(options.lanes[0], gang=True, slots=2)
    return replace(options, lanes=[lane], devices=["4", "5", "6"])


async def test_a_job_has_as_many_devices_as_it_wants(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="devices", gpus=2)
        result = await dispatcher.result("job")

    assert result.output == {"devices": ["4", "5"]}


async def test_who_has_to_wait_says_so_and_runs_when_the_others_are_done(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("first", "play", act="wait", gpus=2)
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.offer("second", "play", act="devices", gpus=2)

        async def says_so() -> bool:
            said = await frames_of(options.streams, "second")
            return Progress(stage="waiting", note="for 2 GPUs or processes; 1 are free") in said

        await eventually(says_so)
        await dispatcher.hint(options.worker, "first", "cancel")
        second = await dispatcher.result("second")

    assert second.outcome == "succeeded"
    assert second.output is not None
    assert len(second.output["devices"]) == 2


async def test_who_waits_is_cancelled_at_once_and_leaves_nothing_taken(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("first", "play", act="wait", gpus=3)
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.offer("second", "play", act="devices", gpus=3)
        await eventually(lambda: len(dispatcher.claims) == 2)
        await dispatcher.hint(options.worker, "second", "cancel")
        second = await dispatcher.result("second")
        await dispatcher.hint(options.worker, "first", "cancel")
        await dispatcher.offer("third", "play", act="devices", gpus=3)
        third = await dispatcher.result("third")

    assert second.outcome == "cancelled"
    assert third.outcome == "succeeded"


async def test_who_waits_for_too_long_goes_back_at_no_cost(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, devices_s=0.1):
        await dispatcher.offer("first", "play", act="wait", gpus=3)
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.offer("second", "play", act="devices")
        second = await dispatcher.result("second")
        await dispatcher.hint(options.worker, "first", "cancel")

    assert second.outcome == "released"


async def test_who_wants_more_than_there_are_is_tried_elsewhere(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="devices", gpus=4)
        result = await dispatcher.result("job")

    assert result.error is not None
    assert result.error.kind == "resource"
    assert result.error.message == "it wants 4 GPUs or processes, and this worker has 3"


async def test_what_a_child_that_died_had_is_given_again(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("first", "play", act="crash", gpus=3)
        await dispatcher.result("first")
        await dispatcher.offer("second", "play", act="devices", gpus=3)
        second = await dispatcher.result("second")

    assert second.output == {"devices": ["4", "5", "6"]}
