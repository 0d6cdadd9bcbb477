"""How this worker is, as its heartbeats tell operators: memory, GPUs, and whether it really hears."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Hearing, Vitals, WarmModel
from headrace.gpu_worker.gate import Gate
from headrace.gpu_worker.gpus import GpuWatch
from headrace.gpu_worker.host.memory import resident_bytes
from headrace.gpu_worker.host.shelf import Warm
from headrace.gpu_worker.slot import Slot

_TOLD: Final = 200  # models: a message has an end


class Checkup:
    def __init__(self, slots: Sequence[Slot], gate: Gate, gpus: GpuWatch) -> None:
        self._slots, self._gate, self._gpus = slots, gate, gpus

    def vitals(self, order_s: float | None) -> Vitals:
        """`order_s`: since an order last reached this worker."""
        return Vitals(
            draining=self._gate.draining,
            memory_bytes=resident_bytes(os.getpid()),
            gpus=self._gpus.latest,
            hears=self._hears(),
            placed=self._placed(),
            order_s=order_s,
            models=self._models(),
        )

    def _models(self) -> list[WarmModel]:
        """By lane and name."""
        found: dict[tuple[Lane, str], list[Warm]] = {}
        for slot in self._slots:
            for warm in slot.warm:
                found.setdefault((slot.lane.lane, warm.weights.model), []).append(warm)
        told = [
            WarmModel(
                lane,
                model,
                slots=len(each),
                memory_bytes=max(warm.memory_bytes for warm in each),
                load_s=round(max(warm.load_s for warm in each), 3),
            )
            for (lane, model), each in sorted(found.items())
        ]
        return told[:_TOLD]

    def _hears(self) -> dict[str, Hearing]:
        """Of each lane that waits for offers, what the slot says that has heard least lately."""
        silences: dict[str, list[float]] = {}
        for slot in self._slots:
            if (silent_s := slot.silent_s) is not None:
                silences.setdefault(str(slot.lane.lane), []).append(silent_s)
        return {lane: Hearing(len(each), round(max(each), 3)) for lane, each in silences.items()}

    def _placed(self) -> dict[str, list[str]] | None:
        """Of each lane, the GPUs that its slots were given; None: nobody gave any."""
        placed: dict[str, list[str]] = {}
        for slot in self._slots:
            if slot.gpu is not None:
                placed.setdefault(str(slot.lane.lane), []).append(slot.gpu or "none")
        return placed or None
