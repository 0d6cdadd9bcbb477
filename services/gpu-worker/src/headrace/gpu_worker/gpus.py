"""What the driver says of this machine's GPUs, where there is a driver and NVML to ask it.

A driver that lost a GPU may not answer at all. So a thread of its own asks, which nobody waits for,
and what it heard last is what is told.
"""

from __future__ import annotations

import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from headrace.contracts.messages import Gpu
from headrace.telemetry.logs import get_logger

EVERY_S: Final = 5.0
_DEVICES: Final = Path("/dev")
_log = get_logger("gpu_worker.gpus")


@dataclass(frozen=True, slots=True)
class Reading:
    gpus: list[Gpu]
    held: Mapping[int, int]  # bytes of their memory, by process


Read: TypeAlias = Callable[[], Reading]


def gpus_to_give(wish: str, visible: str | None, devices: Path = _DEVICES) -> list[str] | None:
    """By number or name, as CUDA takes them; empty: none may be used, None: nothing is known of any.

    The files of the devices are counted, since NVML might never answer.
    """
    match wish:
        case "none":
            return []
        case "auto" if visible is not None:
            return [each.strip() for each in visible.split(",") if each.strip()]
        case "auto":
            there = len(list(devices.glob("nvidia[0-9]*")))
            return [str(number) for number in range(there)] or None
        case _:
            return wish.split(",")


def environment_for(gpu: str | None) -> dict[str, str]:
    """What a child is told, so that it sees this GPU alone; empty: none."""
    if gpu is None:
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as NVML numbers them


def open_nvml() -> Read | None:
    """How to ask NVML; None where it is not installed or finds no driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        _log.info("gpus.unknown", why=str(error))
        return None
    return partial(read_gpus, nvml)


def read_gpus(nvml: Any) -> Reading:
    """Raises whatever NVML does."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
    held: Counter[int] = Counter()
    for handle in handles:
        held.update(_held(nvml, handle))
    return Reading([_read(nvml, handle) for handle in handles], held)


def _read(nvml: Any, handle: Any) -> Gpu:
    name, memory = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else name,  # of older versions
        utilisation=_busy(nvml, handle),
        memory_used_bytes=memory.used,
        memory_total_bytes=memory.total,
    )


def _busy(nvml: Any, handle: Any) -> float:
    """A GPU that is cut into instances does not say."""
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except nvml.NVMLError:
        return 0.0


def _held(nvml: Any, handle: Any) -> dict[int, int]:
    """Empty where the driver does not say: in a container it knows processes by other numbers."""
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return {}
    return {each.pid: each.usedGpuMemory or 0 for each in processes}


class GpuWatch:
    """`latest` is None where nobody can tell."""

    def __init__(self, begin: Callable[[], Read | None], *, every_s: float = EVERY_S) -> None:
        self.latest: list[Gpu] | None = None
        self.held: Mapping[int, int] = {}  # bytes of their memory, by process
        self._begin, self._every_s = begin, every_s

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,), name="gpus", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()  # not joined: it may hang, and is a daemon for that

    def _watch(self, stop: threading.Event) -> None:
        read = self._begin()
        while read is not None and not stop.is_set():
            try:
                reading = read()
                self.latest, self.held = reading.gpus, reading.held
            except Exception as error:  # noqa: BLE001  # whatever NVML raises, this worker works on
                if self.latest is not None:
                    _log.warning("gpus.unreadable", error=str(error))
                self.latest, self.held = None, {}
            stop.wait(self._every_s)
