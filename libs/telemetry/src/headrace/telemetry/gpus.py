"""The GPUs of a worker's machine, by NVIDIA's own library where it and a driver are installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("telemetry.gpus")
_PERCENT: Final = 100


class Nvml(Protocol):
    """What is used of `pynvml`. Its functions raise `NVMLError`."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802  # its names, here and below
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802
    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: N802


def installed_nvml() -> Nvml | None:
    try:
        import pynvml
    except ImportError:
        return None
    found: Nvml = pynvml
    return found


class Gpus:
    """No library, no driver or no device: no figures, and one line that says which."""

    def __init__(self, find: Callable[[], Nvml | None] = installed_nvml) -> None:
        self._nvml, self._count = _begun(find())

    def read(self) -> None:
        """Of every device. One that does not answer is left out: others may."""
        for index in range(self._count):
            self._read_one(index)

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.nvmlShutdown()

    def _read_one(self, index: int) -> None:
        nvml, gpu = self._nvml, str(index)
        if nvml is None:
            return
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            metrics.GPU_MEMORY_USED.labels(gpu=gpu).set(memory.used)
            metrics.GPU_MEMORY_TOTAL.labels(gpu=gpu).set(memory.total)
            # Last: a part of a shared device tells its memory and refuses this.
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            metrics.GPU_UTILISATION.labels(gpu=gpu).set(busy / _PERCENT)
        except nvml.NVMLError as error:
            _log.debug("gpu.unreadable", gpu=gpu, error=str(error))


def _begun(nvml: Nvml | None) -> tuple[Nvml | None, int]:
    if nvml is None:
        return None, 0
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:  # installed on a machine without a driver
        _log.info("gpu.none", error=str(error))
        return None, 0
