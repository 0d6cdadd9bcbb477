"""A training by two processes on CPUs: it arrives where one does, and goes on after one of them was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import psutil
import pytest

from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.frames import Log, Metric
from headrace.contracts.ids import BlobId, Lane, WorkerId
from headrace.contracts.messages import Part
from headrace.contracts.topology import Topology
from headrace.engines.digits.cnn import CnnTrainer
from headrace.engines.digits.ddp import DdpTrainer
from headrace.engines.engine import BadInput, Checkpoint, TryAgain
from headrace.engines.registry import card
from headrace.gpu_worker.calls import meeting_place
from headrace.gpu_worker.options import LaneOptions, Limits, WorkerOptions
from headrace.testkit import infra
from headrace.testkit.background import served
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually
from headrace.testkit.work import RecordedWork, work_for
from headrace.testkit.working import frames_of, working

pytestmark = [
    infra.skipped_without("torch"),
    pytest.mark.timeout(480),
]
SHORT: dict[str, Any] = {"epochs": 3, "channels": 4, "seed": 1}
LONG: dict[str, Any] = {**SHORT, "epochs": 1000, "gpus": 2}
MEMBER = "headrace.engines.gang.member"


def by_one() -> tuple[RecordedWork, dict[str, Any]]:
    engine, work = CnnTrainer(), work_for(CnnTrainer, SHORT)
    engine.load("digits-cnn")
    return work, engine.run(work)


def by_two(before: Checkpoint | None = None) -> tuple[RecordedWork, dict[str, Any]]:
    work = work_for(DdpTrainer, {**SHORT, "gpus": 2}, before=before)
    return work, DdpTrainer().run(work)


def curves(work: RecordedWork) -> list[tuple[str, int | None, float]]:
    return [(each.name, each.step, each.value) for each in work.said(Metric)]


@pytest.fixture(scope="module")
def whole() -> tuple[RecordedWork, dict[str, Any]]:
    return by_two()


def test_two_processes_arrive_where_one_does(whole: tuple[RecordedWork, dict[str, Any]]) -> None:
    alone, expected = by_one()
    together, output = whole

    assert [each[:2] for each in curves(together)] == [each[:2] for each in curves(alone)]
    for (*_, value), (*_, itself) in zip(curves(together), curves(alone), strict=True):
        assert value == pytest.approx(itself, abs=1e-4)  # floats are added in another order
    assert output["model"]["metrics"] == pytest.approx(expected["model"]["metrics"], abs=1e-4)
    assert output["model"]["format"] == expected["model"]["format"]
    assert len(together.blobs[output["model"]["artefact"]["blob"]][0]) == output["model"]["bytes"]


def test_they_go_on_from_a_checkpoint_to_the_same_end(
    whole: tuple[RecordedWork, dict[str, Any]],
) -> None:
    unbroken, expected = whole

    resumed, output = by_two(unbroken.checkpoints[0])

    assert [each.step for each in resumed.checkpoints] == [2, 3]
    assert output["model"]["metrics"] == pytest.approx(expected["model"]["metrics"], abs=1e-6)
    assert "Goes on from epoch 1" in [each.line for each in resumed.said(Log)]


def by_two_workers() -> list[tuple[RecordedWork, dict[str, Any]]]:
    """One process of each, as if each were on a machine of its own; the first one first."""
    engine = DdpTrainer.configure({"nodes": "2"})
    with meeting_place("127.0.0.1") as at:
        works = [work_for(engine, {**SHORT, "nodes": 2}, part=Part(rank, 2, at)) for rank in (0, 1)]
    with ThreadPoolExecutor(2) as workers:
        outputs = workers.map(lambda work: engine().run(work), works)
        return list(zip(works, outputs, strict=True))


def test_two_workers_arrive_where_one_does_and_the_first_alone_speaks() -> None:
    _, expected = by_one()

    (first, output), (other, nothing) = by_two_workers()

    assert output["model"]["metrics"] == pytest.approx(expected["model"]["metrics"], abs=1e-4)
    assert len(first.checkpoints) == 3
    assert (nothing, other.frames, other.checkpoints, other.blobs) == ({}, [], [], {})


def test_who_should_be_one_of_several_does_nothing_alone() -> None:
    engine = DdpTrainer.configure({"nodes": "2"})

    with pytest.raises(TryAgain, match="it wants 2 workers"):
        engine().run(work_for(engine, {**SHORT, "nodes": 2}))


@pytest.mark.parametrize(
    ("given", "field"),
    [({"gpus": 3}, "gpus"), ({"nodes": 2}, "nodes"), ({"gpus": 0}, "gpus")],
)
def test_more_than_the_worker_has_is_refused_at_the_door(given: dict[str, Any], field: str) -> None:
    engine = DdpTrainer.configure({"most": "2"})

    with pytest.raises(BadInput) as refused:
        work_for(engine, given)

    assert refused.value.field == field
    assert card(Lane("torch-ddp"), engine).input_schema["properties"]["gpus"]["maximum"] == 2


@pytest.fixture
def options() -> WorkerOptions:
    numbers, topology = count(1), Topology("test")
    lane = LaneOptions(
        card=card(Lane("torch-ddp"), DdpTrainer),
        engine="headrace.engines.digits.ddp:DdpTrainer",
        preload="digits-cnn-ddp",
        settings={"most": "2"},
        gang=True,
    )
    return WorkerOptions(
        bus=InProcessBus(topology),
        streams=InProcessStreams(),
        blobs=MemoryBlobs(),
        topology=topology,
        worker=WorkerId("worker-1"),
        lanes=[lane],
        devices=["", ""],
        new_id=lambda: f"id-{next(numbers)}",
        limits=Limits(cancel_grace_s=5.0),
    )


@pytest.fixture
async def dispatcher(options: WorkerOptions) -> AsyncGenerator[ScriptedDispatcher]:
    scripted = ScriptedDispatcher(options.bus, options.streams, options.topology)
    async with served(scripted.serve):
        yield scripted


def engine_of(member: psutil.Process) -> psutil.Process:
    """The worker's child that it comes from; this process may have children of other tests, too."""
    return next(each for each in member.parents() if "headrace.gpu_worker.host" in each.cmdline())


def members() -> list[psutil.Process]:
    """Of gangs that this test's worker has started: their launcher is its grandchild."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if (
                MEMBER in process.cmdline()
                and "headrace.engines.gang.launcher" not in process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def learning(dispatcher: ScriptedDispatcher) -> tuple[BlobId, int]:
    """A checkpoint of the gang that runs, once the dispatcher has been told of one."""

    def told() -> tuple[BlobId, int] | None:
        beats = [beat for each in dispatcher.heartbeats for beat in each.heartbeats]
        kept = [beat for beat in beats if beat.checkpoint is not None]
        if not kept or kept[-1].checkpoint_step is None:
            return None
        assert kept[-1].checkpoint is not None
        return kept[-1].checkpoint, kept[-1].checkpoint_step

    found = await eventually(told, within=200)
    assert found is not None
    return found


async def test_when_one_of_them_is_killed_all_are_gone_and_the_next_attempt_goes_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "torch-ddp", model="digits-cnn-ddp", timeout_s=600, **LONG)
        await learning(dispatcher)
        killed, other = members()
        os.kill(killed.pid, signal.SIGKILL)
        lost = await dispatcher.result("job", within=60)
        await eventually(lambda: not lives(other))
        left_behind = await learning(dispatcher)
        dispatcher.results.clear()

        await dispatcher.offer(
            "job",
            "torch-ddp",
            model="digits-cnn-ddp",
            timeout_s=600,
            epoch=1,
            left_behind=left_behind,
            **LONG,
        )
        await eventually(lambda: goes_on(options, left_behind[1]), within=200)
        await dispatcher.hint(options.worker, "job", "cancel")
        ended = await dispatcher.result("job", within=60)

    assert lost.error is not None
    assert lost.error.kind == "transient"
    assert ended.outcome == "cancelled"
    assert members() == []


async def goes_on(options: WorkerOptions, step: int) -> bool:
    said = await frames_of(options.streams, "job")
    return Log(f"Goes on from epoch {step}") in said


async def test_when_the_child_itself_is_killed_none_of_them_is_left(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "torch-ddp", model="digits-cnn-ddp", timeout_s=600, **LONG)
        await learning(dispatcher)
        gang = members()
        engine_of(gang[0]).kill()
        lost = await dispatcher.result("job", within=60)

        await eventually(lambda: not any(lives(each) for each in gang))

    assert len(gang) == 2
    assert lost.error is not None
    assert lost.error.kind == "worker_lost"
