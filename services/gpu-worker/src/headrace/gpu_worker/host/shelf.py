"""Which models a child has loaded, and which of them go when another needs the room.

Laws:
1. What was used longest ago goes first.
2. A name is not enough: the same one may stand for other weights, which then take its place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_REMEMBERED: Final = 256  # models whose size is known after they have gone


@dataclass(frozen=True, slots=True)
class Weights:
    """What a job wants loaded: a model of the engine's own, or the file of one that was registered."""

    model: str
    path: Path | None = None
    format: str = ""
    sha256: str = ""  # of the file


@dataclass(frozen=True, slots=True)
class Warm:
    """A model that is loaded."""

    weights: Weights
    memory_bytes: int  # what loading it added
    load_s: float


class Shelf:
    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes = limit_bytes  # None: as much as there is
        self._warm: OrderedDict[str, Warm] = OrderedDict()  # what was used longest ago is first
        self._sizes: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __iter__(self) -> Iterator[Warm]:
        return iter(list(self._warm.values()))

    def has(self, weights: Weights) -> bool:
        there = self._warm.get(weights.model)
        return there is not None and there.weights.sha256 == weights.sha256

    def use(self, weights: Weights) -> bool:
        """Whether it is there; then it is the last that would go."""
        if not self.has(weights):
            return False
        self._warm.move_to_end(weights.model)
        return True

    def put(self, warm: Warm) -> None:
        self._warm[warm.weights.model] = warm
        key = _key(warm.weights)
        self._sizes[key] = warm.memory_bytes
        self._sizes.move_to_end(key)
        if len(self._sizes) > _REMEMBERED:
            self._sizes.popitem(last=False)

    def drop(self, model: str) -> None:
        self._warm.pop(model, None)

    def clear(self) -> None:
        self._warm.clear()

    def fits(self, weights: Weights) -> bool:
        """Whether it would, alone; as far as is known from when it was loaded before."""
        return self.limit_bytes is None or self._sizes.get(_key(weights), 0) <= self.limit_bytes

    def displaced_by(self, weights: Weights) -> list[str]:
        """What has to go before it is loaded; what it needs is known if it was here before."""
        namesake = [weights.model] if weights.model in self._warm else []
        need = self._sizes.get(_key(weights), 0)
        return namesake + self._oldest(need, but=weights.model)

    def beyond_limit(self, weights: Weights) -> list[str]:
        """What has to go now that it is loaded: itself, where it does not fit alone."""
        return self._oldest(0, but=weights.model) if self.fits(weights) else [weights.model]

    def _oldest(self, need: int, *, but: str) -> list[str]:
        if self.limit_bytes is None:
            return []
        held = need + sum(warm.memory_bytes for warm in self._warm.values())
        gone: list[str] = []
        for model, warm in self._warm.items():
            if held <= self.limit_bytes:
                break
            if model != but:
                gone.append(model)
                held -= warm.memory_bytes
        return gone


def _key(weights: Weights) -> tuple[str, str]:
    return weights.model, weights.sha256
