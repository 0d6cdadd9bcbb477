"""How the installation does: one look at lanes, paths, workers and the last minutes, for operators."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace.core.job import State
from headrace.core.ports.operations import Ended, Loads, Percentiles, Recent
from headrace.core.ports.store import Store, Transaction, WorkerRecord
from headrace.core.shared_look import SharedLook
from headrace.core.usecases.lanes import LaneStanding, standings

BUCKETS: Final = 60
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


@dataclass(slots=True)
class Overviews:
    """One of each process that serves operators."""

    monotonic: Callable[[], float] = time.monotonic
    _looks: dict[timedelta, SharedLook[Overview]] = field(
        default_factory=dict
    )  # as many as there are windows

    async def look(self, store: Store, window: timedelta) -> Overview:
        """Raises Unavailable, to all who waited for the same look."""
        look = self._looks.get(window)
        if look is None:
            look = SharedLook(lambda tx: overview(tx, window), monotonic=self.monotonic)
            self._looks[window] = look
        return await look.look(store)


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
