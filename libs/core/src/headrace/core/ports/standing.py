"""How the lanes stand: what an operator's graphs show, asked for every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.ids import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStanding:
    lane: Lane
    waiting: int  # to be offered
    offered: int  # sent or on their way, and not claimed yet
    held: int  # by workers
    oldest_s: float  # how long the next of a tenant has waited: of the one that waited longest


class Standings(Protocol):
    async def standing(self, path: str, *, at_most: int) -> Sequence[LaneStanding]:
        """Of each lane of a path with a job in it, paused or not, by name; `waiting` counts so far."""
