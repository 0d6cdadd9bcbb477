"""Lanes of jobs that only workers who come by HTTP can run: nothing of ours serves them, nothing is offered."""

from __future__ import annotations

from typing import Final

from headrace.contracts.ids import Lane

_REMOTE: Final = "remote."


def remote_lane(kind: str) -> Lane:
    return Lane(f"{_REMOTE}{kind}")


def is_remote(lane: Lane) -> bool:
    return lane.startswith(_REMOTE)
