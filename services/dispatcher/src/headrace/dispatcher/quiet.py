"""That nothing waits for remote workers, remembered until somebody stirs: so those that are idle cost the store nothing.

Laws:
1. What is remembered was read after the last stir. A job that comes stirs, and so does whoever tells a worker
   to drain: then nothing is remembered, and each take looks for itself.
2. Nothing is given out from here: it answers only that nothing fits.
3. Every `LOOK_EVERY_S` one transaction looks for all who asked: they are seen by that.
4. What no stir told of (a hint may be lost) is found within `FOUND_WITHIN_S`: the release loop, which looks for work
   anyway, reads it in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Take, Taken
from headrace.contracts.remote import remote_lane
from headrace.core.ports.remotes import Class
from headrace.core.ports.store import Store
from headrace.core.usecases.take import fit

LOOK_EVERY_S: Final = 20.0
FOUND_WITHIN_S: Final = 2.0  # and a turn of the release loop
_GOOD_FOR_S: Final = 3 * LOOK_EVERY_S  # the store was away: then each take tells that it is
_REMEMBERED: Final = 10_000  # workers


@dataclass(slots=True)
class Quiet:
    monotonic: Callable[[], float]
    stirs: int = 0
    _classes: Sequence[Class] | None = None  # None: somebody stirred, or nobody has looked since
    _read_at: float = 0.0
    _compared_at: float = 0.0
    _seen: set[WorkerId] = field(default_factory=set)  # whom the store heard of since, not draining
    _asked: dict[WorkerId, Take] = field(default_factory=dict)  # and was not told of since

    def stir(self) -> None:
        self.stirs += 1
        self._classes = None
        self._seen.clear()

    def answer(self, worker: WorkerId, asked: Take) -> Taken | None:
        """Nothing for it, and why; None: that is not known."""
        if self._classes is None or worker not in self._seen or self._age_s >= _GOOD_FOR_S:
            return None
        self._asked[worker] = asked
        found = fit(self._classes, asked, worker)
        return None if found.classes else Taken(asked.id, skipped=found.skipped)

    def remember(self, classes: Sequence[Class], *, seen: WorkerId | None, since: int) -> None:
        """As they were read when there had been so many stirs."""
        if since != self.stirs:
            return
        self._classes, self._read_at = classes, self.monotonic()
        if seen is not None and len(self._seen) < _REMEMBERED:
            self._seen.add(seen)

    @property
    def may_have_missed(self) -> bool:
        """It is time to compare what is remembered with what there is; nothing is while somebody stirs."""
        return (
            self._classes is not None
            and self.monotonic() - max(self._read_at, self._compared_at) >= FOUND_WITHIN_S
        )

    def compare(self, classes: Sequence[Class], *, since: int) -> bool:
        """With these, just read; whether there are some that no stir told of."""
        if since != self.stirs or self._classes is None:
            return False
        self._compared_at = self.monotonic()
        known = {each.wants: each.waiting for each in self._classes}
        self._classes = classes
        return any(each.waiting > known.get(each.wants, 0) for each in classes)

    @property
    def is_due(self) -> bool:
        return self._age_s >= LOOK_EVERY_S

    async def look(
        self, store: Store, parked: Mapping[WorkerId, Take], *, paths: Sequence[str]
    ) -> set[WorkerId]:
        """For all of these, and who was answered from here; tells who of them is to drain."""
        since, asked = self.stirs, {**self._asked, **parked}
        if not asked:
            return set()
        draining = set()
        async with store.begin() as tx:
            for worker, take in asked.items():
                slots = {remote_lane(take.skill.kind): take.slots}
                if await tx.see_worker(worker, slots, path=paths[0]):
                    draining.add(worker)
            classes = [each for path in paths for each in await tx.classes(path)]
        self._asked.clear()
        self._seen -= draining
        self.remember(classes, seen=None, since=since)
        return draining

    @property
    def _age_s(self) -> float:
        return self.monotonic() - self._read_at
