"""Where torch computes and how much memory it may take: in one place, for every engine on it.

Nothing here imports torch before a model is loaded: that takes seconds, and hundreds of megabytes.
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.engines.engine import EngineError, OutOfMemory
from headrace.engines.options import Misconfigured, Options, whole_number

if TYPE_CHECKING:
    import torch

OPTIONS: Final = ("device", "dtype", "threads", "memory_mib")
_DEVICE: Final = re.compile(r"auto|cpu|cuda(:\d{1,2})?")
_TYPES: Final = ("auto", "float32", "float16", "bfloat16")
# What torch raises where it is no OutOfMemoryError: the CPU's allocator, and cuBLAS on its workspace.
_SAYS_SO: Final = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
_MIB: Final = 2**20


class NoSuchDevice(EngineError):
    def __init__(self, wish: str, there: int) -> None:
        super().__init__(f"device={wish}, and torch sees {there} GPUs")
        self.wish, self.there = wish, there


@dataclass(frozen=True, slots=True)
class TorchOptions:
    """What an operator wants. `auto`: a GPU where there is one, and the type that is fast there."""

    device: str = "auto"
    dtype: str = "auto"
    threads: int = 1  # of the CPU
    memory_mib: int | None = None  # of a GPU, for this process alone; None: whatever is free


def torch_options(options: Options) -> TorchOptions:
    """Raises Misconfigured."""
    device, dtype = options.get("device", "auto"), options.get("dtype", "auto")
    if not _DEVICE.fullmatch(device):
        raise Misconfigured("device", f"should be auto, cpu, cuda or cuda:N, not {device!r}")
    if dtype not in _TYPES:
        raise Misconfigured("dtype", f"should be one of {', '.join(_TYPES)}, not {dtype!r}")
    memory_mib = whole_number(options, "memory_mib", 0) or None
    return TorchOptions(device, dtype, whole_number(options, "threads", 1), memory_mib)


class TorchDevice:
    """The device that was chosen, for the life of this process."""

    def __init__(self, options: TorchOptions) -> None:
        import torch

        torch.set_num_threads(options.threads)
        self.device = _device(options.device)
        self.dtype: torch.dtype = getattr(torch, _dtype(options.dtype, self.device))
        if options.memory_mib is not None and self.is_gpu:
            _, total = torch.cuda.mem_get_info(self.device)
            share = min(1.0, options.memory_mib * _MIB / total)
            torch.cuda.set_per_process_memory_fraction(share, self.device)

    @property
    def is_gpu(self) -> bool:
        return bool(self.device.type == "cuda")

    def peak_mib(self) -> float | None:
        """The most memory of the GPU that was in use since this was last asked; None on a CPU."""
        import torch

        if not self.is_gpu:
            return None
        peak = float(torch.cuda.max_memory_allocated(self.device)) / _MIB
        torch.cuda.reset_peak_memory_stats(self.device)
        return peak

    def tidy(self) -> None:
        """Give back what nothing refers to any more, also to other processes on the device."""
        import torch

        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """Raises OutOfMemory, with nothing left behind: what comes next has all the room there is."""
        try:
            yield
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            why = str(error).partition("\n")[0] or "out of memory"
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            self.tidy()
            raise OutOfMemory(why) from None


def ran_out_of_memory(error: Exception) -> bool:
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError | OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAYS_SO)


def _device(wish: str) -> torch.device:
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wish == "cpu" or (wish == "auto" and not there):
        return torch.device("cpu")
    number = int(wish.partition(":")[2] or 0)
    if number >= there:
        raise NoSuchDevice(wish, there)
    return torch.device("cuda", number)


def _dtype(wish: str, device: torch.device) -> str:
    import torch

    if wish != "auto":
        return wish
    if device.type == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
