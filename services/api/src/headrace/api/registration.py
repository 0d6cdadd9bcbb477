"""How many may register themselves: so many an hour from one address, and so many in all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from headrace.core.rates import Rate, Windows

_HOUR_S: Final = 3600.0


class Registration:
    def __init__(
        self,
        *,
        per_address: int = 5,
        in_all: int = 100,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_address, self._in_all = Rate(per_address, _HOUR_S), Rate(in_all, _HOUR_S)
        self._windows = Windows(monotonic)

    def wait_s(self, address: str) -> float:
        """How long until this address may; 0: now, and it has."""
        return self._windows.wait_s([(address, self._per_address), (None, self._in_all)])
