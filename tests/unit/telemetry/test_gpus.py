"""GPUs are read where NVIDIA's library and a driver are, and missed nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prometheus_client import REGISTRY

from headrace.telemetry.gpus import Gpus


class NotSupported(Exception):
    """As the library raises it."""


@dataclass
class Rates:
    gpu: int


@dataclass
class Memory:
    used: int
    total: int


@dataclass
class FakeNvml:
    """`pynvml` as a machine with these devices has it."""

    devices: list[tuple[int | None, int, int]]  # percent (None: it refuses), used, total
    driver: bool = True
    closed: list[bool] = field(default_factory=list)
    NVMLError: type[Exception] = NotSupported

    def nvmlInit(self) -> None:  # noqa: N802  # its names, here and below
        if not self.driver:
            raise NotSupported("Driver Not Loaded")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed.append(True)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:  # noqa: N802
        percent = self.devices[handle][0]
        if percent is None:
            raise NotSupported("Not Supported")
        return Rates(percent)

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: N802
        _, used, total = self.devices[handle]
        return Memory(used, total)


def value(metric: str, gpu: str) -> float | None:
    return REGISTRY.get_sample_value(f"headrace_gpu_{metric}", {"gpu": gpu})


def test_every_device_tells_how_busy_and_how_full_it_is() -> None:
    nvml = FakeNvml([(87, 6 * 2**30, 8 * 2**30), (0, 0, 8 * 2**30)])
    gpus = Gpus(lambda: nvml)

    gpus.read()
    gpus.close()

    assert (value("utilisation_ratio", "0"), value("utilisation_ratio", "1")) == (0.87, 0.0)
    assert value("memory_used_bytes", "0") == 6 * 2**30
    assert value("memory_total_bytes", "1") == 8 * 2**30
    assert nvml.closed == [True]


def test_a_device_that_refuses_one_figure_still_tells_the_others() -> None:
    Gpus(lambda: FakeNvml([(50, 1, 2), (50, 1, 2), (None, 3, 4)])).read()

    assert value("memory_used_bytes", "2") == 3
    assert value("utilisation_ratio", "2") is None


def test_without_the_library_or_a_driver_there_are_no_gpus() -> None:
    for gpus in (Gpus(lambda: None), Gpus(lambda: FakeNvml([(9, 9, 9)] * 9, driver=False))):
        gpus.read()
        gpus.close()

    assert value("memory_used_bytes", "8") is None
