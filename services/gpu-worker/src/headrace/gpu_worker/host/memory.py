"""How much memory processes hold: one and its descendants from outside, and the child itself from inside."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any

import psutil


def resident_bytes(pid: int) -> int:
    """0 for what is gone. What they share is counted for each."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_resident(each) for each in family)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


@dataclass(frozen=True, slots=True)
class Held:
    resident: int
    device: int  # on all GPUs; 0 where nobody can tell

    def since(self, before: Held) -> int:
        """What came since then: on the GPU if anything did there, which is the scarcer; else resident."""
        device = self.device - before.device
        return device if device > 0 else max(0, self.resident - before.resident)


class OwnMemory:
    """What this process itself holds; NVML is asked for it where it is installed and finds a driver."""

    def __init__(self) -> None:
        self._nvml = _open_nvml()

    def held(self) -> Held:
        return Held(_resident(psutil.Process()), self._on_devices())

    def _on_devices(self) -> int:
        nvml = self._nvml
        if nvml is None:
            return 0
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
            processes = [p for h in handles for p in nvml.nvmlDeviceGetComputeRunningProcesses(h)]
        except nvml.NVMLError:
            return 0
        return sum(each.usedGpuMemory or 0 for each in processes if each.pid == os.getpid())


def _open_nvml() -> Any:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def give_back() -> None:
    """Return what is free to the system: the allocator keeps it else, and it would look held."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
