"""Whether a job had better go to another worker than the one that asks: to one that has its model loaded.

Laws:
1. No slot stands idle for it longer than loading the model took there, nor longer than IDLE: so the worst
   case costs twice the best one, whether the other is free by then or not.
2. No job is passed over more than TRIES times, nor for longer than PASSED, however much work there is for
   others meanwhile. Then whoever asks gets it, and is warm itself.
3. Nothing of it is written down: what a dispatcher forgets, or another one does not know, costs one swap.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from headrace.contracts.ids import JobId, Lane, WorkerId
from headrace.contracts.messages import WarmModel
from headrace.core.job import Job
from headrace.core.ports.operations import Member
from headrace.core.ports.store import Transaction

IDLE: Final = timedelta(seconds=1)
TRIES: Final = 8
PASSED: Final = timedelta(seconds=3)
WORTH: Final = timedelta(seconds=0.25)  # a load that is over sooner costs less than to go round
HEARD_WITHIN: Final = timedelta(seconds=15)  # heartbeats come every ten seconds at least
MOST_WORKERS: Final = 2_000  # that are looked at
_SOON_S: Final = 5.0  # a load that takes longer is not waited for anyway
_LOOK_EVERY_S: Final = 1.0
_REMEMBERED: Final = 10_000  # jobs that were passed over, and lanes of workers that stand idle

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Place:
    worker: WorkerId
    load_s: float
    slots: int  # of this worker in the lane, warm or not


@dataclass(slots=True)
class _Loading:
    """Whom a job of this model was granted last: it is warm soon, and has not said so yet."""

    worker: WorkerId | None = None
    since: float = 0.0


@dataclass(slots=True)
class _Passed:
    """A job that workers were refused."""

    since: float
    times: int = 0


class Placement:
    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._path, self._monotonic = path, monotonic
        self._looked_at: float | None = None
        self._warm: dict[tuple[Lane, str], list[_Place]] = {}
        self._loads: OrderedDict[tuple[Lane, str], float] = OrderedDict()  # what each took last
        self._loading: OrderedDict[tuple[Lane, str], _Loading] = OrderedDict()
        self._passed: OrderedDict[JobId, _Passed] = OrderedDict()
        self._idle: OrderedDict[tuple[WorkerId, Lane], float] = OrderedDict()  # since when

    async def better_elsewhere(
        self, tx: Transaction, worker: WorkerId, jobs: Sequence[Job]
    ) -> list[Job]:
        """Of jobs whose model this worker's slot would have to load, those that it should not have yet."""
        if not jobs:
            return []
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY_S:
            self._warm, self._looked_at = await self._look(tx), now
        return [job for job in jobs if self._goes_round(job, worker, now)]

    def granted(self, worker: WorkerId, jobs: Sequence[Job]) -> None:
        """It has something to do, and loads the models of these if it had not."""
        for job in jobs:
            at = _remembered(self._loading, (job.lane, job.spec.model), _Loading())
            at.worker, at.since = worker, self._monotonic()
            self._idle.pop((worker, job.lane), None)
            self._passed.pop(job.id, None)

    async def _look(self, tx: Transaction) -> dict[tuple[Lane, str], list[_Place]]:
        found: defaultdict[tuple[Lane, str], list[_Place]] = defaultdict(list)
        at = await tx.now()
        for member in await tx.fleet(limit=MOST_WORKERS):
            if member.path == self._path:
                for model in warm_models(member, at):
                    slots = member.slots.get(model.lane, 0)
                    key = model.lane, model.model
                    found[key].append(_Place(member.id, model.load_s, slots))
                    _remembered(self._loads, key, 0.0)
                    self._loads[key] = model.load_s
        return dict(found)

    def _goes_round(self, job: Job, worker: WorkerId, now: float) -> bool:
        saved_s = self._saved_s(job, worker, now)
        if saved_s < WORTH.total_seconds():
            return False
        passed = _remembered(self._passed, job.id, _Passed(now))
        idle_since = _remembered(self._idle, (worker, job.lane), now)
        if passed.times >= TRIES or now - passed.since > PASSED.total_seconds():
            return False
        if now - idle_since > min(saved_s, IDLE.total_seconds()):
            return False
        passed.times += 1
        return True

    def _saved_s(self, job: Job, worker: WorkerId, now: float) -> float:
        """What loading its model took where it is loaded, or is about to be; 0: nowhere else."""
        key = job.lane, job.spec.model
        # Of its own other slots one may be warm; a worker with one slot has let go of it since it said so.
        warm = [
            place.load_s
            for place in self._warm.get(key, ())
            if place.worker != worker or place.slots > 1
        ]
        if warm:
            return min(warm)
        loading = self._loading.get(key)
        if loading is None or loading.worker == worker or now - loading.since > _SOON_S:
            return 0.0
        of_its_lane = (load_s for (lane, _), load_s in self._loads.items() if lane == job.lane)
        return self._loads.get(key) or max(of_its_lane, default=0.0)


def _remembered(of: OrderedDict[K, V], key: K, new: V) -> V:
    """What there was, or the new one; what was asked for longest ago is forgotten."""
    found = of.setdefault(key, new)
    of.move_to_end(key)
    if len(of) > _REMEMBERED:
        of.popitem(last=False)
    return found


def warm_models(member: Member, at: datetime) -> Sequence[WarmModel]:
    """What it has loaded, where a job can go: it was heard of lately and is not about to leave."""
    vitals = member.vitals
    gone = member.seen_at <= at - HEARD_WITHIN or member.drain_asked_at is not None
    return () if gone or vitals is None or vitals.draining else vitals.models or ()
