"""What was made and what waits, by model: for people who choose one, and for statistics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

ENDED_LOOKED_AT: Final = 100_000  # jobs that succeeded, the latest ones
OPEN_LOOKED_AT: Final = 20_000  # jobs that wait, and as many that run


class Period(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"  # what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Jobs that succeeded. `within`: the shortest period before now in which they ended."""

    kind: str
    model: str
    within: Period
    jobs: int
    work: int  # pixels times steps, or tokens, as `/api/v2` was asked for them
    work_ms: int = 0  # that those with work took, from their first start to their end


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoad:
    """Jobs that have not ended."""

    kind: str
    model: str
    waiting: int
    running: int
    work: int


class Figures(Protocol):
    """The part of a transaction that counts. What it costs has a bound, however much there is."""

    async def tallies(self) -> list[Tally]: ...

    async def model_loads(self) -> list[ModelLoad]: ...
