"""Which leases this process has seen to lately, so that not every word of a worker renews one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from headrace.contracts.ids import ClaimId

_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Renewals:
    monotonic: Callable[[], float] = time.monotonic
    _at: OrderedDict[ClaimId, float] = field(default_factory=OrderedDict)

    def is_due(self, claim: ClaimId, every_s: float) -> bool:
        """At the first word, and when the last renewal was so long ago; then it counts as done."""
        now = self.monotonic()
        if now - self._at.get(claim, -every_s) < every_s:
            return False
        self._at[claim] = now
        self._at.move_to_end(claim)
        if len(self._at) > _REMEMBERED:
            self._at.popitem(last=False)
        return True
