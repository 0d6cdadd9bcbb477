"""Where a watcher of a run stands: how far it is in the stream of each of the run's jobs, as one short word.

Laws:
1. It names jobs by stage, piece and try, which never change their meaning: stages are only added.
2. It says of each job either the position after which frames are new, or that its end was seen.
3. What is read is what was written: `parse(str(position)) == position`.

Written `0~3,1.4.2!,2.0.1:3-17`: of stage 0 the first three pieces have ended at their first try, of stage 1
the second try of piece 4 has, and of stage 2 piece 0 is at `3-17`. `$` behind it all: the run's end was seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from typing_extensions import override

from headrace.contracts.ids import START, Position
from headrace.core.pipeline import MOST_PIECES, MOST_STAGES

LONGEST: Final = 16_384
_MOST: Final = MOST_STAGES * MOST_PIECES
_FIRST: Final = re.compile(r"([0-9]{1,2})~([0-9]{1,2})")
_ONE: Final = re.compile(
    r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{1,4})(?:(!)|:([0-9]{1,18}-[0-9]{1,18}))"
)


class Place(NamedTuple):
    """A job of a run: the stage's number among the run's, the piece's index, and which try."""

    stage: int
    piece: int
    tries: int


Seen: TypeAlias = Position | None
"""None: to its end."""


@dataclass(frozen=True, slots=True)
class RunPosition:
    seen: Mapping[Place, Seen] = field(default_factory=dict)
    over: bool = False

    def at(self, place: Place) -> Seen:
        return self.seen.get(place, START)

    def moved(self, place: Place, seen: Seen) -> RunPosition:
        return replace(self, seen={**self.seen, place: seen}, over=False)

    @override
    def __str__(self) -> str:
        return ",".join(self._parts()) + ("$" if self.over else "")

    def _parts(self) -> Iterator[str]:
        firsts = {stage: self._first(stage) for stage in sorted({p.stage for p in self.seen})}
        yield from (f"{stage}~{count}" for stage, count in firsts.items() if count)
        for place, seen in sorted(self.seen.items(), key=lambda each: each[0]):
            if place.tries > 1 or place.piece >= firsts[place.stage]:
                at = "!" if seen is None else f":{seen}"
                yield f"{place.stage}.{place.piece}.{place.tries}{at}"

    def _first(self, stage: int) -> int:
        count = 0
        while count < MOST_PIECES and self.seen.get(Place(stage, count, 1), START) is None:
            count += 1
        return count


def parse(text: str | None) -> RunPosition:
    """Nothing is the start. Raises ValueError: it comes from clients."""
    if not text:
        return RunPosition()
    if len(text) > LONGEST:
        raise ValueError(f"a position in a run has at most {LONGEST} characters")
    seen: dict[Place, Seen] = {}
    for part in filter(None, text.removesuffix("$").split(",")):
        seen.update(_read(part))
    if len(seen) > _MOST:
        raise ValueError(f"a position in a run names at most {_MOST} jobs")
    return RunPosition(seen, over=text.endswith("$"))


def _read(part: str) -> dict[Place, Seen]:
    if (first := _FIRST.fullmatch(part)) is not None:
        return {Place(int(first[1]), piece, 1): None for piece in range(int(first[2]))}
    if (one := _ONE.fullmatch(part)) is None:
        raise ValueError(f"a position in a run looks like '0~1,1.0.1:3-17', not {part[:40]!r}")
    seen = None if one[4] else Position.parse(one[5])
    return {Place(int(one[1]), int(one[2]), int(one[3])): seen}
