"""How fast something advances, from its last few seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_S: Final = 4.0
LEAST_S: Final = 0.3  # below this a rate is noise


class Pace:
    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque(maxlen=4096)

    def mark(self, value: float, *, now: float) -> None:
        """A value that falls starts a new count: another stage, another attempt."""
        if self._marks and value < self._marks[-1][1]:
            self._marks.clear()
        self._marks.append((now, value))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW_S:  # noqa: PLR2004  # a rate needs two
            self._marks.popleft()

    @property
    def rate(self) -> float | None:
        """A second; None until it can be told."""
        if not self._marks:
            return None
        (begin, first), (end, last) = self._marks[0], self._marks[-1]
        if end - begin < LEAST_S or last <= first:
            return None
        return (last - first) / (end - begin)
