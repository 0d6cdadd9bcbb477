"""How the installation does: one look at lanes, paths, workers and the last minutes, for operators.

However many ask, one look is under way at a time, and what it saw is good for a second, or for ten times
as long as it took: so operators who watch cost no more than a tenth of one connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace.core.errors import Unavailable
from headrace.core.job import State
from headrace.core.ports.operations import Ended, Loads, Percentiles, Recent
from headrace.core.ports.store import Store, Transaction, WorkerRecord
from headrace.core.usecases.lanes import LaneStanding, standings

BUCKETS: Final = 60
_GOOD_FOR_S: Final = 1.0
_SHARE_OF_TIME: Final = 10
_WRONG: Final = frozenset({State.FAILED, State.DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    at: datetime
    accepted: int
    ended: Counter[State]
    wait_p50_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStanding:
    path: str
    attended: bool
    waiting: int
    running: int
    ended: int
    failed: int  # or dead
    wait: Percentiles
    run: Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    at: datetime
    window: timedelta
    covers: timedelta  # shorter than the window where more went on than is looked at
    bucket: timedelta
    ended: Counter[State]
    wait: Percentiles
    run: Percentiles
    letters: int
    lanes: list[LaneStanding]
    workers: Sequence[WorkerRecord]
    paths: list[PathStanding]
    series: list[Bucket]

    @property
    def per_s(self) -> float:
        return self.ended.total() / max(1.0, self.covers.total_seconds())

    @property
    def failure_rate(self) -> float | None:
        """Of those that ran to an end; what was cancelled neither failed nor did not."""
        wrong = sum(self.ended[state] for state in _WRONG)
        judged = wrong + self.ended[State.SUCCEEDED]
        return wrong / judged if judged else None


@dataclass(slots=True, eq=False)
class _Look:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: Overview | None = None
    good_until: float = 0.0
    failed: Unavailable | None = None
    failed_at: float = 0.0


@dataclass(slots=True)
class Overviews:
    """One of each process that serves operators."""

    monotonic: Callable[[], float] = time.monotonic
    _looks: dict[timedelta, _Look] = field(default_factory=dict)  # as many as there are windows

    async def look(self, store: Store, window: timedelta) -> Overview:
        """Raises Unavailable, to all who waited for the same look."""
        asked = self.monotonic()
        look = self._looks.setdefault(window, _Look())
        async with look.turn:
            if look.failed is not None and look.failed_at >= asked:
                raise Unavailable(look.failed.what, look.failed.why)
            if look.seen is None or self.monotonic() >= look.good_until:
                look.seen = await self._take(store, window, look)
            return look.seen

    async def _take(self, store: Store, window: timedelta, look: _Look) -> Overview:
        begun = self.monotonic()
        try:
            async with store.begin() as tx:
                seen = await overview(tx, window)
        except Unavailable as error:
            look.failed, look.failed_at = error, self.monotonic()
            raise
        took_s = self.monotonic() - begun
        look.good_until = begun + took_s + max(_GOOD_FOR_S, _SHARE_OF_TIME * took_s)
        return seen


async def overview(tx: Transaction, window: timedelta) -> Overview:
    now, bucket = await tx.now(), window / BUCKETS
    since = _whole(now, bucket) - bucket * (BUCKETS - 1)
    lanes, loads, workers = await standings(tx)
    recent = await tx.recent(since=since, bucket=bucket)
    return Overview(
        at=now,
        window=window,
        covers=now - recent.since,
        bucket=bucket,
        ended=_by_state(recent.ended),
        wait=recent.wait,
        run=recent.run,
        letters=loads.letters,
        lanes=lanes,
        workers=workers,
        paths=[_path(path, loads, recent) for path in _paths(loads, recent)],
        series=[_bucket(place, since + bucket * place, recent) for place in range(BUCKETS)],
    )


def _whole(now: datetime, bucket: timedelta) -> datetime:
    """When the bucket began that it is now: buckets stand still while time goes on."""
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return epoch + (now - epoch) // bucket * bucket


def _by_state(ended: Sequence[Ended]) -> Counter[State]:
    counts = Counter[State]()
    for each in ended:
        counts[each.state] += each.count
    return counts


def _paths(loads: Loads, recent: Recent) -> list[str]:
    names = loads.attended.keys() | {each.path for each in loads.lanes}
    return sorted(names | {each.path for each in recent.ended})


def _path(path: str, loads: Loads, recent: Recent) -> PathStanding:
    here = [each for each in loads.lanes if each.path == path]
    ended = _by_state([each for each in recent.ended if each.path == path])
    return PathStanding(
        path=path,
        attended=loads.attended.get(path, False),
        waiting=sum(each.waiting + each.offered for each in here),
        running=sum(each.running for each in here),
        ended=ended.total(),
        failed=sum(ended[state] for state in _WRONG),
        wait=recent.wait_on.get(path, Percentiles()),
        run=recent.run_on.get(path, Percentiles()),
    )


def _bucket(place: int, at: datetime, recent: Recent) -> Bucket:
    return Bucket(
        at=at,
        accepted=recent.accepted.get(place, 0),
        ended=_by_state([each for each in recent.ended if each.bucket == place]),
        wait_p50_s=recent.wait_in.get(place, Percentiles()).p50_s,
    )
