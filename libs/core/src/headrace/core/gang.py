"""How many workers an input asks for, where its engine can have several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.messages import EngineCard


@dataclass(frozen=True, slots=True)
class Gang:
    nodes: int = 1
    gpus: int = 1  # of each


def gang_of(card: EngineCard, given: Mapping[str, Any]) -> Gang:
    """Of an input that was checked. An engine for one worker may mean anything by `nodes`."""
    if card.nodes <= 1:
        return Gang()
    return Gang(_count(given.get("nodes")), _count(given.get("gpus")))


def _count(value: Any) -> int:
    """Absent, or what the engine's schema calls by another name: one."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if counts else 1
