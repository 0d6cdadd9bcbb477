"""A wall clock that jumps and drifts, for one process: `time.time` of whoever asks, and its log.

The monotonic clock goes on as it was, as it does where somebody sets a machine's time. `datetime.now`
stays right except in the log: its class cannot be replaced under those who build on it. Neither is
asked by anything that decides: ruff bans both.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

from structlog import processors

JUMPS_S: Final = (86_400, 3_600, -3_600, -86_400)  # in turn
EVERY_S: Final = 2.0
DRIFT: Final = 0.05


def run_wild() -> None:
    now = wild(time.time, time.monotonic)
    vars(time).update(time=now, time_ns=lambda: int(now() * 1e9))

    def wild_now(tz: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.fromtimestamp(now(), tz)

    vars(processors)["datetime"] = SimpleNamespace(
        datetime=SimpleNamespace(now=wild_now), timezone=dt.timezone
    )


def wild(real: Callable[[], float], monotonic: Callable[[], float]) -> Callable[[], float]:
    began = monotonic()

    def now() -> float:
        age_s = monotonic() - began
        return real() + JUMPS_S[int(age_s / EVERY_S) % len(JUMPS_S)] + DRIFT * age_s

    return now
