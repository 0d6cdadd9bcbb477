"""What graphs show of a worker: its slots, its engines' memory, its GPUs. Read every few seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from headrace.gpu_worker.slot import Slot
from headrace.telemetry import metrics
from headrace.telemetry.gpus import Gpus

EVERY_S: Final = 5.0


async def measure(slots: Sequence[Slot]) -> None:
    """Runs until it is cancelled. Reads in a thread: a driver may take its time."""
    with _gpus() as gpus:
        while True:
            _tell_slots(slots)
            await asyncio.to_thread(_read, slots, gpus)
            await asyncio.sleep(EVERY_S)


@contextmanager
def _gpus() -> Iterator[Gpus]:
    gpus = Gpus()
    try:
        yield gpus
    finally:
        gpus.close()


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


def _read(slots: Sequence[Slot], gpus: Gpus) -> None:
    memory: Counter[str] = Counter()
    for slot in slots:
        memory[slot.lane.lane] += slot.memory_bytes
    for lane, size in memory.items():
        metrics.ENGINE_MEMORY.labels(lane=lane).set(size)
    gpus.read()
