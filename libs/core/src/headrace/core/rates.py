"""How often somebody may ask: so many within a while, of each thing that is counted; remembered by this process alone.

It is a guard against floods, not a quota: another process counts for itself.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

RateName: TypeAlias = Literal[
    "ask", "key", "anonymous", "check", "status", "text-status", "progress"
]
"""What is counted at `/api/v2`: calls of an address and path; of a key, and of anonymous, new requests."""

_REMEMBERED: Final = 20_000  # things; of the others nothing is known
_WRITTEN: Final = re.compile(r"(\d{1,6})/(s|min|h)")
_UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Rate:
    count: int
    within_s: float


def rates(text: str) -> tuple[Rate, ...]:
    """As in '2/s 90/min'. Raises ValueError."""
    found = [(part, _WRITTEN.fullmatch(part)) for part in text.split()]
    for part, match in found:
        if match is None or int(match[1]) == 0:
            raise ValueError(f"{part!r} is no rate: write them as in 2/s or 90/min")
    return tuple(Rate(int(match[1]), _UNITS[match[2]]) for _, match in found if match is not None)


@dataclass(slots=True)
class Windows:
    """The latest times of each thing, in a window that slides."""

    monotonic: Callable[[], float] = time.monotonic
    _times: OrderedDict[Hashable, deque[float]] = field(default_factory=OrderedDict)

    def wait_s(self, counted: Sequence[tuple[Hashable, Rate]]) -> float:
        """How long until all of these may, 0: now, and it is counted."""
        now = self.monotonic()
        windows = [(self._window(thing, rate), rate) for thing, rate in counted]
        wait_s = max((_left_s(times, rate, now) for times, rate in windows), default=0.0)
        if wait_s == 0:
            for times, _ in windows:
                times.append(now)
        return wait_s

    def _window(self, thing: Hashable, rate: Rate) -> deque[float]:
        times = self._times.setdefault((thing, rate), deque(maxlen=rate.count))
        self._times.move_to_end((thing, rate))
        if len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
        return times


def _left_s(times: deque[float], rate: Rate, now: float) -> float:
    """Until the oldest of as many as may be is out of the window."""
    return max(0.0, times[0] + rate.within_s - now) if len(times) == rate.count else 0.0
