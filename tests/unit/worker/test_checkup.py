"""What a worker's heartbeats say of itself: whether it hears, what it holds, and its GPUs if it can tell."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from prometheus_client import REGISTRY

from headrace.contracts.messages import Gpu, Vitals
from headrace.gpu_worker.gpus import GpuWatch, Reading, environment_for, gpus_to_give, read_gpus
from headrace.gpu_worker.host.memory import resident_bytes
from headrace.gpu_worker.measuring import tell_gpus
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.waits import eventually
from headrace.testkit.working import working

GIB = 1 << 30


class NoGpu(Exception):
    """As NVML fails."""


class FakeNvml:
    """A driver with two GPUs, of which the second is cut into instances."""

    NVMLError = NoGpu

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802  # NVML's names
        return 2

    def nvmlDeviceGetHandleByIndex(self, place: int) -> int:  # noqa: N802
        return place

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:  # noqa: N802
        return "NVIDIA H100" if handle == 0 else b"NVIDIA A100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=GIB, total=80 * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        if handle == 1:
            raise NoGpu
        return SimpleNamespace(gpu=87)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        if handle == 1:
            raise NoGpu
        return [
            SimpleNamespace(pid=7, usedGpuMemory=GIB),
            SimpleNamespace(pid=8, usedGpuMemory=None),
        ]


def last(dispatcher: ScriptedDispatcher) -> Vitals:
    vitals = dispatcher.heartbeats[-1].vitals
    assert vitals is not None
    return vitals


async def test_a_worker_that_waits_for_offers_says_that_it_hears(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1, lane={"slots": 2}):
        await eventually(
            lambda: dispatcher.heartbeats and (last(dispatcher).hears or {}).get("play"), within=15
        )
        await eventually(lambda: (last(dispatcher).hears or {})["play"].free == 2, within=15)
        await eventually(lambda: last(dispatcher).order_s is not None, within=10)

    told = last(dispatcher)
    assert told.hears is not None
    assert told.hears["play"].alive_s < 1
    assert told.order_s is not None
    assert told.order_s < 5


async def test_a_slot_that_works_waits_for_no_offer(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1):
        await dispatcher.offer("job", "play", act="wait")
        await eventually(
            lambda: dispatcher.heartbeats and dispatcher.heartbeats[-1].heartbeats, within=15
        )

        assert last(dispatcher).hears == {}
        dispatcher.orders["job"] = "cancel"
        await dispatcher.result("job")


async def test_whom_no_order_reaches_says_for_how_long(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1):
        await eventually(
            lambda: dispatcher.heartbeats and last(dispatcher).order_s is not None, within=10
        )
        dispatcher.deaf = True
        await eventually(lambda: (last(dispatcher).order_s or 0) > 0.5, within=10)


async def test_memory_is_that_of_the_worker_and_its_engines(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, heartbeat_s=0.1):
        await eventually(lambda: dispatcher.heartbeats and last(dispatcher).hears, within=15)

    told = last(dispatcher).memory_bytes
    assert told is not None
    assert told > resident_bytes(os.getpid()) // 2 > 0


def test_a_process_that_has_ended_holds_nothing() -> None:
    assert resident_bytes(2**22 + 1) == 0  # beyond what Linux numbers processes with


def test_gpus_are_in_the_metrics_by_their_numbers() -> None:
    tell_gpus([Gpu("NVIDIA H100", 0.87, GIB, 80 * GIB)])

    figures = {
        name: REGISTRY.get_sample_value(f"headrace_gpu_{name}", {"gpu": "0"})
        for name in ("utilisation_ratio", "memory_used_bytes", "memory_total_bytes")
    }
    assert figures == {
        "utilisation_ratio": 0.87,
        "memory_used_bytes": GIB,
        "memory_total_bytes": 80 * GIB,
    }


def test_gpus_are_told_as_the_driver_sees_them() -> None:
    assert read_gpus(FakeNvml()).gpus == [
        Gpu("NVIDIA H100", 0.87, GIB, 80 * GIB),
        Gpu("NVIDIA A100", 0.0, GIB, 80 * GIB),
    ]


def test_memory_of_a_gpu_is_told_by_process_as_far_as_the_driver_knows() -> None:
    assert read_gpus(FakeNvml()).held == {7: GIB, 8: 0}


def test_the_library_has_what_is_asked_of_it() -> None:
    names = [name for name in vars(FakeNvml) if name.startswith("nvml")]

    assert [name for name in names if not hasattr(pynvml, name)] == []
    assert issubclass(pynvml.NVMLError, Exception)


@pytest.mark.parametrize(
    ("wish", "visible", "given"),
    [
        ("auto", None, ["0", "1"]),
        ("auto", "GPU-8f6a,3", ["GPU-8f6a", "3"]),
        ("auto", "", []),
        ("none", None, []),
        ("1,3", None, ["1", "3"]),
    ],
)
def test_gpus_to_give_are_those_there_are_or_those_somebody_chose(
    wish: str, visible: str | None, given: list[str], tmp_path: Path
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()

    assert gpus_to_give(wish, visible, tmp_path) == given


def test_where_there_is_no_gpu_nothing_is_given(tmp_path: Path) -> None:
    assert gpus_to_give("auto", None, tmp_path) is None


async def test_slots_that_want_a_gpu_take_turns_and_their_engines_see_that_one_alone(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    options = replace(options, gpus=["0", "1"])
    async with working(options, heartbeat_s=0.1, lane={"slots": 3, "on_gpu": True}):
        await eventually(lambda: dispatcher.heartbeats and last(dispatcher).placed, within=15)

    assert last(dispatcher).placed == {"play": ["0", "1", "0"]}


async def test_an_engine_that_wants_no_gpu_is_given_none(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(replace(options, gpus=["0"]), heartbeat_s=0.1):
        await eventually(lambda: dispatcher.heartbeats and last(dispatcher).hears, within=15)

    assert last(dispatcher).placed is None


def test_a_child_sees_its_own_gpu_numbered_as_the_driver_does() -> None:
    assert environment_for("1") == {
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert environment_for("")["CUDA_VISIBLE_DEVICES"] == ""
    assert environment_for(None) == {}


async def test_what_the_driver_said_last_is_told_until_it_fails() -> None:
    answers = [Reading([Gpu("H100", 0.5, 1, 2)], {7: 1})]

    def read() -> Reading:
        return answers[0]

    watch = GpuWatch(lambda: read, every_s=0.01)
    with watch.running():
        await eventually(lambda: watch.latest == answers[0].gpus, within=5)
        assert watch.held == {7: 1}
        del answers[0]  # the next reading fails
        await eventually(lambda: watch.latest is None and watch.held == {}, within=5)


async def test_without_nvml_nothing_is_told_of_gpus() -> None:
    asked: list[bool] = []

    def find_none() -> None:
        asked.append(True)

    watch = GpuWatch(find_none)
    with watch.running():
        await eventually(lambda: asked, within=5)

    assert watch.latest is None
