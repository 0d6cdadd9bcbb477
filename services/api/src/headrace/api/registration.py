"""How many may register themselves: so many an hour from one address, and so many in all.

Counted by this process alone: it is a guard against floods, not a quota.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

_HOUR_S: Final = 3600.0
_REMEMBERED: Final = 10_000  # addresses; of the others nothing is known


class Registration:
    def __init__(
        self,
        *,
        per_address: int = 5,
        in_all: int = 100,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_address, self._in_all, self._monotonic = per_address, in_all, monotonic
        self._all: deque[float] = deque(maxlen=in_all)
        self._of: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long until this address may; 0: now, and it has."""
        now = self._monotonic()
        mine = self._of.setdefault(address, deque(maxlen=self._per_address))
        self._of.move_to_end(address)
        if len(self._of) > _REMEMBERED:
            self._of.popitem(last=False)
        wait_s = max(_left_s(mine, now, self._per_address), _left_s(self._all, now, self._in_all))
        if wait_s == 0:
            mine.append(now)
            self._all.append(now)
        return wait_s


def _left_s(times: deque[float], now: float, most: int) -> float:
    """Until the oldest of as many as may be is an hour ago."""
    return max(0.0, times[0] + _HOUR_S - now) if len(times) >= most else 0.0
