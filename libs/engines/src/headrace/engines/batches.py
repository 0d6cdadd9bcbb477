"""Several jobs in one go: what an engine declares that can do this, and what it may rely on.

Laws:
1. `run` stays, for one alone. Who runs together has one model; each has its own input, frames and end.
2. A job that shall end raises `Stopped` out of its own `work`: it is over by that, and others go on.
3. What `run_many` itself raises is nobody's yet. Whoever has no answer runs again, in two halves and
   down to one, whose own it is then. So too many for the memory become fewer, and one bad input is found.
4. A job that has written tokens or shown segments is not run again in the same attempt: its readers would
   see them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from headrace.engines.engine import Engine, Stopped, Work

Answer: TypeAlias = tuple[int, dict[str, Any] | Exception]
"""Which of the works, and its output or what went wrong with it."""


@runtime_checkable
class BatchEngine(Engine, Protocol):
    batch_most: ClassVar[int]
    batch_window_s: ClassVar[float]  # for how long the first of a batch waits for others

    def run_many(self, works: Sequence[Work[Any]]) -> Iterable[Answer]:
        """Do them together; answers for each as soon as it is done, but for those that stopped."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How many at once, at most, and how long the first waits for others."""

    most: int = 1
    window_s: float = 0.0


def batching(engine: type[Engine]) -> Batching:
    """What `engine` declares; one at a time where it declares nothing."""
    if not hasattr(engine, "run_many"):
        return Batching()
    return Batching(getattr(engine, "batch_most"), getattr(engine, "batch_window_s"))  # noqa: B009


def goes_on(work: Work[Any]) -> bool:
    """Whether this one is still wanted: ask before each step that all take together."""
    try:
        work.check()
    except Stopped:
        return False
    return True
