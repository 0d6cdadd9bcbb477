"""An engine whose models hold real memory and take time to load, for the tests of what keeps them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import msgspec

from headrace.engines.engine import Work
from headrace.engines.options import Options, configured, only, seconds, whole_number

ENGINE: Final = "headrace.testkit.hoard:HoardEngine"
FORMAT: Final = "raw"
MIB: Final = 2**20


class HoardInput(msgspec.Struct, frozen=True):
    seconds: float = 0.0  # of work


class HoardEngine:
    """Keeps what it was given to load."""

    kind: ClassVar[str] = "hoard"
    models: ClassVar[Sequence[str]] = ("one", "two", "three", "four", "huge", "stubborn")
    formats: ClassVar[Sequence[str]] = (FORMAT,)
    Input: ClassVar[type[msgspec.Struct]] = HoardInput
    requires: ClassVar[Sequence[str]] = ()

    mib: ClassVar[int] = 16  # of each model; `huge` has four times that
    room_mib: ClassVar[int] = 1 << 20  # as if the machine had no more
    load_s: ClassVar[float] = 0.001

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    @classmethod
    def configure(cls, options: Options) -> type[HoardEngine]:
        only(options, ("mib", "room_mib", "load_s"))
        return configured(
            cls,
            mib=whole_number(options, "mib", cls.mib),
            room_mib=whole_number(options, "room_mib", cls.room_mib),
            load_s=seconds(options, "load_s", cls.load_s),
        )

    def load(self, model: str) -> None:
        size = self.mib * MIB * (4 if model == "huge" else 1)
        self._keep(model, Random(model).randbytes(size))  # bytes that differ, no secret

    def load_artefact(self, model: str, path: Path) -> None:
        self._keep(model, path.read_bytes())

    def unload(self, model: str) -> None:
        if model == "stubborn":
            raise RuntimeError("it stays")
        del self._held[model]

    def run(self, work: Work[HoardInput]) -> dict[str, Any]:
        until = time.monotonic() + work.input.seconds
        while (left_s := until - time.monotonic()) > 0:
            work.check()
            time.sleep(min(left_s, 0.01))
        weights = self._held[work.model]
        return {
            "model": work.model,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "loaded": list(self._held),
        }

    def _keep(self, model: str, weights: bytes) -> None:
        time.sleep(self.load_s)
        if len(weights) + sum(map(len, self._held.values())) > self.room_mib * MIB:
            raise MemoryError(f"no room for {model}")
        self._held[model] = weights
