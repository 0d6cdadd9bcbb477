"""What graphs show of a worker: its slots, its engines' memory, its GPUs. Told every few seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.contracts.messages import Gpu
from headrace.gpu_worker.gpus import GpuWatch
from headrace.gpu_worker.slot import Slot
from headrace.telemetry import metrics

EVERY_S: Final = 5.0


async def measure(slots: Sequence[Slot], gpus: GpuWatch) -> None:
    """Runs until it is cancelled. Memory is read in a thread: it looks at every process there is."""
    while True:
        _tell_slots(slots)
        tell_gpus(gpus.latest or ())
        if gpus.held:
            _tell_gpu_memory(slots, gpus.held)
        await asyncio.to_thread(_tell_memory, slots)
        await asyncio.sleep(EVERY_S)


def tell_gpus(gpus: Sequence[Gpu]) -> None:
    """By their numbers, as the driver has them."""
    for number, gpu in enumerate(gpus):
        metrics.GPU_UTILISATION.labels(gpu=str(number)).set(gpu.utilisation)
        metrics.GPU_MEMORY_USED.labels(gpu=str(number)).set(gpu.memory_used_bytes)
        metrics.GPU_MEMORY_TOTAL.labels(gpu=str(number)).set(gpu.memory_total_bytes)


def _tell_gpu_memory(slots: Sequence[Slot], held: Mapping[int, int]) -> None:
    memory: Counter[str] = Counter()
    for slot in slots:
        if slot.lane.on_gpu and slot.pid is not None:
            memory[slot.lane.lane] += held.get(slot.pid, 0)
    for lane, size in memory.items():
        metrics.ENGINE_GPU_MEMORY.labels(lane=lane).set(size)


def _tell_slots(slots: Sequence[Slot]) -> None:
    lanes = {slot.lane.lane for slot in slots}
    standing = Counter((slot.lane.lane, _standing(slot)) for slot in slots)
    for lane in lanes:
        for name in ("busy", "free", "not_ready"):
            number = standing[lane, name]
            metrics.WORKER_SLOTS.labels(lane=lane, standing=name).set(number)


def _standing(slot: Slot) -> str:
    if slot.busy:
        return "busy"
    return "free" if slot.ready else "not_ready"


def _tell_memory(slots: Sequence[Slot]) -> None:
    memory: Counter[str] = Counter()
    for slot in slots:
        memory[slot.lane.lane] += slot.memory_bytes
    for lane, size in memory.items():
        metrics.ENGINE_MEMORY.labels(lane=lane).set(size)
