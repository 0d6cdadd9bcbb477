"""Which lanes' queues can be used: one that a person has to mend holds up no other lane."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.contracts.ids import Lane
from headrace.contracts.topology import Topology
from headrace.core.errors import Misconfigured
from headrace.core.ports.bus import Bus
from headrace.core.ports.store import Transaction

_ASK_AGAIN_S: Final = 15.0  # the broker closes a channel over each such question


@dataclass(slots=True)
class LaneQueues:
    """The work queues as this process finds them. What is wrong is kept in the store, for all."""

    bus: Bus
    topology: Topology
    changed: Callable[[Lane, str | None], None] = lambda _lane, _trouble: None
    monotonic: Callable[[], float] = time.monotonic
    _rest: dict[Lane, float] = field(default_factory=dict)  # until when not to ask about it again

    def resting(self, lane: Lane) -> bool:
        return self.monotonic() < self._rest.get(lane, 0.0)

    async def open(self, lanes: Iterable[Lane]) -> dict[Lane, str | None]:
        """Declare each; None: it can be used, else what is wrong. Raises Unavailable."""
        return {lane: await self._open(lane) for lane in lanes}

    async def _open(self, lane: Lane) -> str | None:
        try:
            await self.bus.declare([self.topology.work(lane)])
        except Misconfigured as error:
            self._rest[lane] = self.monotonic() + _ASK_AGAIN_S
            return str(error)
        self._rest.pop(lane, None)
        return None

    async def note(self, tx: Transaction, found: Mapping[Lane, str | None]) -> None:
        """Each change once, whichever dispatcher finds it."""
        known = await tx.troubles()
        for lane, trouble in found.items():
            if known.get(lane) != trouble:
                await tx.note_trouble(lane, trouble)
                self.changed(lane, trouble)
