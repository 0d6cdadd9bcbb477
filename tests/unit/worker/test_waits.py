"""What an attempt waits for inside its worker is told with the heartbeats, with who is before it, until it ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Artefact, Waits
from headrace.core.ports.blobs import Blob
from headrace.engines.registry import card
from headrace.gpu_worker.options import LaneOptions, WorkerOptions
from headrace.testkit.dispatching import TENANT, ScriptedDispatcher
from headrace.testkit.hoard import ENGINE as HOARD
from headrace.testkit.hoard import FORMAT, HoardEngine
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.play_together import ENGINE as TOGETHER
from headrace.testkit.play_together import TogetherEngine
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


def waits_of(dispatcher: ScriptedDispatcher, job: str) -> Waits | None:
    """As the latest heartbeat has it."""
    vitals = dispatcher.heartbeats[-1].vitals if dispatcher.heartbeats else None
    told = (vitals and vitals.waits) or []
    return next((each for each in told if each.job == job), None)


async def told(dispatcher: ScriptedDispatcher, job: str) -> Waits:
    found = await eventually(lambda: waits_of(dispatcher, job), within=10)
    assert found is not None
    return found


def batching(options: WorkerOptions) -> WorkerOptions:
    lane = LaneOptions(
        card=card(Lane("together"), TogetherEngine),
        engine=TOGETHER,
        preload="calm",
        slots=4,
        batch_most=4,
        batch_window_s=0.05,
    )
    return replace(options, lanes=[lane])


def hoarding(options: WorkerOptions, tmp_path: Path, **settings: str) -> WorkerOptions:
    lane = LaneOptions(card=card(Lane("hoard"), HoardEngine), engine=HOARD, settings=settings)
    return replace(options, lanes=[lane], models=tmp_path / "models")


async def test_a_gang_tells_who_has_its_devices_and_since_when(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    lane = replace(options.lanes[0], gang=True, slots=2)
    gangs = replace(options, lanes=[lane], devices=["0", "1"])
    async with working(gangs, heartbeat_s=60.0):
        await dispatcher.offer("first", "play", act="wait", gpus=1)
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.offer("second", "play", act="devices", gpus=2)

        waits = await told(dispatcher, "second")
        await dispatcher.hint(options.worker, "first", "cancel")
        await dispatcher.result("second")
        await eventually(lambda: waits_of(dispatcher, "second") is None)

    assert (waits.what, waits.epoch) == ("devices", 1)
    assert waits.note == "for 2 GPUs or processes, of which 1 are free"
    assert [each.job for each in waits.held_by] == ["first"]
    assert waits.held_by[0].for_s >= waits.for_s >= 0.5


async def test_a_download_tells_how_much_is_there(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    weights = bytes(2**20)
    blob = await blobs.put(TENANT, Blob("application/octet-stream", weights))
    digest = hashlib.sha256(weights).hexdigest()
    artefact = Artefact(TENANT, blob, FORMAT, digest, len(weights))
    blobs.away = True
    async with working(hoarding(options, tmp_path), heartbeat_s=60.0):
        await dispatcher.offer("job", "hoard", model="digits@3", artefact=artefact)
        waits = await told(dispatcher, "job")
        blobs.away = False
        await dispatcher.result("job")

    assert (waits.what, waits.note) == ("download", "for 1.0 MiB of weights, of which 0.0 are here")


async def test_who_waits_for_its_model_to_be_loaded_says_so(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, tmp_path: Path
) -> None:
    async with working(hoarding(options, tmp_path, load_s="1.2"), heartbeat_s=60.0):
        await dispatcher.offer("job", "hoard", model="two")
        waits = await told(dispatcher, "job")
        await dispatcher.result("job")
        await eventually(lambda: waits_of(dispatcher, "job") is None)

    assert (waits.what, waits.note, waits.held_by) == ("load", "for two to be loaded", [])


async def test_who_waits_for_a_batch_names_the_jobs_that_are_in_it(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(batching(options), heartbeat_s=60.0):
        await dispatcher.offer("before", "together", act="endless")
        await eventually(partial(frames_of, options.streams, "before"))
        await dispatcher.offer("job", "together", model="other", act="say")
        waits = await told(dispatcher, "job")
        await dispatcher.hint(options.worker, "before", "cancel")
        await dispatcher.result("job")

    assert (waits.what, waits.note) == ("batch", "for the batch before it, of 1, to end")
    assert [each.job for each in waits.held_by] == ["before"]


async def test_who_is_left_out_for_memory_says_how_many_had_room(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(batching(options), heartbeat_s=60.0, lane={"batch_window_s": 0.3}):
        await eventually(lambda: [h for h in dispatcher.hellos if h.slots.get("together") == 4])
        for job in ("a", "b", "c", "d"):
            await dispatcher.offer(job, "together", act="heavy")
        for job in ("a", "b", "c", "d"):
            await dispatcher.result(job)
        for job in ("e", "f"):
            await dispatcher.offer(job, "together", act="endless")
        await eventually(lambda: len(dispatcher.claims) == 6)
        await dispatcher.offer("g", "together", act="endless")
        waits = await told(dispatcher, "g")
        for job in ("e", "f", "g"):
            await dispatcher.hint(options.worker, job, "cancel")
        for job in ("e", "f", "g"):
            await dispatcher.result(job)

    assert waits.what == "memory"
    assert waits.note == "for the batch before it, of 2, to end: no more jobs at once had room"
    assert sorted(each.job for each in waits.held_by) == ["e", "f"]


async def test_what_is_over_soon_is_not_told(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.05):
        await dispatcher.offer("job", "play", act="say")
        await dispatcher.result("job")

    assert [each for each in dispatcher.heartbeats if each.vitals and each.vitals.waits] == []
