"""Whether a job had better go to another worker than the one that asks: to one that has its model loaded.

Laws:
1. No job waits longer for such a worker than loading its model took there, nor longer than LONGEST, nor is
   it refused more than TRIES times. Then whoever asks gets it, and is warm itself. So the worst case costs
   twice the best one, whether the other is free by then or not.
2. Nothing of it is written down: what a dispatcher forgets, or another one does not know, costs one swap.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headrace.contracts.ids import JobId, Lane, WorkerId
from headrace.contracts.messages import WarmModel
from headrace.core.job import Job
from headrace.core.ports.operations import Member
from headrace.core.ports.store import Transaction

TRIES: Final = 3
LONGEST: Final = timedelta(seconds=1)
WORTH: Final = timedelta(seconds=0.25)  # a load that is over sooner costs less than to go round
HEARD_WITHIN: Final = timedelta(seconds=15)  # heartbeats come every ten seconds at least
MOST_WORKERS: Final = 2_000  # that are looked at
_LOOK_EVERY_S: Final = 1.0
_REMEMBERED: Final = 10_000  # jobs that were refused


@dataclass(frozen=True, slots=True)
class _Place:
    worker: WorkerId
    load_s: float
    slots: int  # of this worker in the lane, warm or not


@dataclass(slots=True)
class _Detour:
    since: float
    refused: int = 0


class Placement:
    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._path, self._monotonic = path, monotonic
        self._looked_at: float | None = None
        self._warm: dict[tuple[Lane, str], list[_Place]] = {}
        self._detours: OrderedDict[JobId, _Detour] = OrderedDict()

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

    async def _look(self, tx: Transaction) -> dict[tuple[Lane, str], list[_Place]]:
        found: defaultdict[tuple[Lane, str], list[_Place]] = defaultdict(list)
        at = await tx.now()
        for member in await tx.fleet(limit=MOST_WORKERS):
            if member.path == self._path:
                for model in warm_models(member, at):
                    slots = member.slots.get(model.lane, 0)
                    found[model.lane, model.model].append(_Place(member.id, model.load_s, slots))
        return dict(found)

    def _goes_round(self, job: Job, worker: WorkerId, now: float) -> bool:
        # Of its own other slots one may be warm; a worker with one slot has let go of it since it said so.
        saved_s = min(
            (
                place.load_s
                for place in self._warm.get((job.lane, job.spec.model), ())
                if place.worker != worker or place.slots > 1
            ),
            default=0.0,
        )
        detour = self._detours.pop(job.id, None) or _Detour(now)
        limit_s = min(saved_s, LONGEST.total_seconds())
        if (
            saved_s < WORTH.total_seconds()
            or detour.refused >= TRIES
            or now - detour.since > limit_s
        ):
            return False
        detour.refused += 1
        self._detours[job.id] = detour
        if len(self._detours) > _REMEMBERED:
            self._detours.popitem(last=False)
        return True


def warm_models(member: Member, at: datetime) -> Sequence[WarmModel]:
    """What it has loaded, where a job can go: it was heard of lately and is not about to leave."""
    vitals = member.vitals
    gone = member.seen_at <= at - HEARD_WITHIN or member.drain_asked_at is not None
    return () if gone or vitals is None or vitals.draining else vitals.models or ()
