"""What an engine leaves behind is stored and told while it runs, and the next attempt goes on from it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import psutil
import pytest
from typing_extensions import override

from headrace.contracts.frames import Token
from headrace.contracts.ids import BlobId, TenantId
from headrace.contracts.messages import Heartbeat, Result
from headrace.core.errors import TooLarge
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import TENANT, ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working

LEFT: dict[str, Any] = {"act": "leave behind"}


class SmallBlobs(MemoryBlobs):
    @override
    async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
        raise TooLarge("the blob", len(blob.data), 1)


def told(dispatcher: ScriptedDispatcher) -> list[Heartbeat]:
    """The heartbeats that tell of a checkpoint."""
    return [
        beat
        for beats in dispatcher.heartbeats
        for beat in beats.heartbeats
        if beat.checkpoint is not None
    ]


def stored(blobs: MemoryBlobs, said: Heartbeat | Result) -> bytes:
    assert said.checkpoint is not None
    return blobs.kept[TENANT, said.checkpoint].data


async def left_behind(options: WorkerOptions) -> None:
    async def says_so() -> bool:
        return Token("left behind") in await frames_of(options.streams, "job")

    await eventually(says_so, within=10)


async def the_first_told(dispatcher: ScriptedDispatcher) -> Heartbeat:
    (first, *_) = await eventually(lambda: told(dispatcher), within=10)
    assert isinstance(first, Heartbeat)
    return first


async def test_it_is_stored_and_told_long_before_the_next_heartbeat_is_due(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options, heartbeat_s=600.0, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, text="wait")
        first = await the_first_told(dispatcher)

    assert (first.job, first.epoch, first.checkpoint_step) == ("job", 1, 1)
    assert stored(blobs, first) == b"after 1"


async def test_every_heartbeat_tells_of_the_latest(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.15, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, text="wait")
        seen = await eventually(lambda: (all_ := told(dispatcher))[3:] and all_, within=10)

    assert {(each.checkpoint, each.checkpoint_step) for each in seen} == {("blob-1", 1)}


async def test_of_many_in_a_hurry_few_are_stored_and_the_last_is_among_them(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options, checkpoint_s=0.3, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, times=2000, text="wait")
        await left_behind(options)
        await eventually(
            lambda: any(each.checkpoint_step == 2000 for each in told(dispatcher)), within=10
        )

    assert stored(blobs, told(dispatcher)[-1]) == b"after 2000"
    assert len(blobs.kept) < 20


async def test_the_next_one_waits_for_the_dispatchers_answer(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    dispatcher.deaf = True
    async with working(options, checkpoint_s=0.01, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, times=500, text="wait")
        await left_behind(options)
        before = len(blobs.kept)
        dispatcher.deaf = False
        await eventually(
            lambda: any(each.checkpoint_step == 500 for each in told(dispatcher)), within=10
        )

    assert before == 1


async def test_the_engine_does_not_wait_for_blobs_that_are_away(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    blobs.away = True
    async with working(options, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, times=500, text="wait")
        await left_behind(options)
        blobs.away = False
        first = await the_first_told(dispatcher)

    assert first.checkpoint_step == 500


@pytest.mark.parametrize("end", ["crash", "busy", "broken"])
async def test_who_fails_tells_of_the_last_one_with_the_result(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs, end: str
) -> None:
    async with working(options, checkpoint_s=60.0):
        await dispatcher.offer("job", "play", **LEFT, times=30, text=end)
        result = await dispatcher.result("job")

    assert (result.outcome, result.checkpoint_step) == ("failed", 30)
    assert stored(blobs, result) == b"after 30"


async def test_a_child_that_is_killed_has_left_its_last_one(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options, checkpoint_s=60.0, drain_s=0.1):
        await dispatcher.offer("job", "play", **LEFT, times=30, text="wait")
        await left_behind(options)
        for child in psutil.Process().children():
            if "headrace.gpu_worker.host" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
        result = await dispatcher.result("job")

    assert result.error is not None
    assert (result.error.kind, result.checkpoint_step) == ("worker_lost", 30)
    assert stored(blobs, result) == b"after 30"


async def test_who_is_given_back_has_left_its_last_one(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options, checkpoint_s=60.0, drain_s=0.1) as worker:
        await dispatcher.offer("job", "play", **LEFT, times=30, text="wait")
        await left_behind(options)
        worker.stop.set()
        result = await dispatcher.result("job")
        await worker.ended()

    assert (result.outcome, result.checkpoint_step) == ("released", 30)


async def test_who_succeeds_stores_no_more_of_them(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options, checkpoint_s=60.0):
        await dispatcher.offer("job", "play", **LEFT, times=30)
        result = await dispatcher.result("job")

    assert result.outcome == "succeeded"
    assert len(blobs.kept) <= 1


async def test_the_next_attempt_goes_on_from_it(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    left = await blobs.put(TENANT, Blob("application/octet-stream", b"after 7"))
    async with working(options):
        await dispatcher.offer("job", "play", **LEFT, left_behind=(left, 7))
        result = await dispatcher.result("job")

    assert result.output == {"found": "after 7", "begun": 7}


async def test_where_it_is_gone_the_attempt_begins_at_the_beginning(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", **LEFT, left_behind=(BlobId("gone"), 7))
        result = await dispatcher.result("job")

    assert result.output == {"found": None, "begun": 0}


async def test_a_step_that_does_not_grow_is_the_engines_mistake(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="stand still")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert result.error.kind == "internal"
    assert "steps grow" in result.error.message


async def test_what_is_too_large_to_keep_stops_nothing(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(replace(options, blobs=SmallBlobs())):
        await dispatcher.offer("job", "play", **LEFT, times=3)
        result = await dispatcher.result("job")

    assert (result.outcome, result.checkpoint) == ("succeeded", None)
