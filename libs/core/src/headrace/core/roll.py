"""The roll of remote workers that ask for work: called for many at once, and remembered for a moment.

Laws:
1. However many ask, the store has one question at a time from this process: a few statements for all of
   them, and one more for each owner that has a new worker. A question is asked for those too who would
   need one soon: so who asks again and again costs one for all, each `KNOWN_S`.
2. Who was let in is let in again for `KNOWN_S` without a question, so long as it says the same of itself.
   What its owner changes through this process counts at once; through another, once that time is over.
   Maintenance counts at once everywhere: the dispatcher knows of it.
3. What was read before a change here is not remembered after it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from headrace.contracts.ids import TenantId, UserId, WorkerId
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.users import User
from headrace.core.together import MOST, Together

KNOWN_S: Final = 30.0
REMEMBERED: Final = 10_000
MOST_OF_ONE_OWNER: Final = 20
_Name: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Asks:
    """Who asks: as what, for whom, and what it says of itself."""

    name: _Name
    tenant: TenantId
    kind: str
    said: bytes  # JSON, an object
    first: tuple[tuple[UserId, str], ...] = ()  # number and alias of whose jobs it puts first

    def worker(self, new_id: Callable[[], str]) -> RemoteWorker:
        said = msgspec.json.decode(self.said)
        return RemoteWorker(
            id=WorkerId(new_id()), name=self.name, tenant=self.tenant, kind=self.kind, said=said
        )


@dataclass(frozen=True, slots=True)
class Enlisted:
    """`worker`: who has that name; whether it is who asks is for whoever asked to see."""

    worker: RemoteWorker | None  # None: the owner has too many already
    owner: User | None  # who asks; None: a tenant that is no user
    first: tuple[TenantId, ...] = ()  # who is there of whom it puts first

    @property
    def trusted(self) -> bool:
        of_user = self.owner is not None and self.owner.trusted
        return of_user or (self.worker is not None and self.worker.trusted)


@dataclass(slots=True)
class _Known:
    enlisted: Enlisted
    until: float
    asked_at: float


class Roll:
    """One of each process that lets remote workers ask."""

    def __init__(
        self,
        store: Store,
        *,
        new_id: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._new_id, self._monotonic = store, new_id, monotonic
        self._questions = Together(self._answer)
        self._known: OrderedDict[Asks, _Known] = OrderedDict()
        self._changes = 0
        self._clock: tuple[datetime, float] | None = None  # the store's, and when it was read

    async def call(self, asks: Asks) -> Enlisted:
        """The first time one is heard of, it is registered. Raises Unavailable."""
        known, now = self._known.get(asks), self._monotonic()
        if known is not None:
            known.asked_at = now
            if now < known.until:
                return known.enlisted
        return await self._questions.ask(asks) or Enlisted(None, None)

    @property
    def now(self) -> datetime | None:
        """By the store's clock, as it was read with the latest question: rather late than early."""
        if self._clock is None:
            return None
        at, read = self._clock
        return at + timedelta(seconds=self._monotonic() - read)

    def forget(self) -> None:
        """A worker was changed or deleted, or an owner: seldom, so all are asked for again."""
        self._changes += 1
        self._known.clear()

    async def _answer(self, asked: Set[Asks]) -> dict[Asks, Enlisted]:
        now, changes = self._monotonic(), self._changes
        everybody = {*asked, *self._soon(now, asked)}
        async with self._store.begin() as tx:
            found = await enlist(tx, everybody, new_id=self._new_id)
            self._clock = (await tx.now(), now)
        if changes == self._changes:
            for asks, enlisted in found.items():
                self._remember(asks, enlisted, now, asked_now=asks in asked)
        return found

    def _soon(self, now: float, asked: Set[Asks]) -> Iterable[Asks]:
        """Who has asked lately, and would need a question before long; with what it said last of itself."""
        latest = {
            asks.name: asks
            for asks, known in self._known.items()
            if known.until - now < KNOWN_S / 2 and now - known.asked_at < KNOWN_S
        }
        for each in asked:
            latest.pop(each.name, None)
        return islice(latest.values(), max(0, MOST - len(asked)))

    def _remember(self, asks: Asks, found: Enlisted, now: float, *, asked_now: bool) -> None:
        before = self._known.pop(asks, None)
        if not _may_work(asks, found):
            return
        asked_at = now if asked_now or before is None else before.asked_at
        self._known[asks] = _Known(found, now + KNOWN_S, asked_at)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _may_work(asks: Asks, found: Enlisted) -> bool:
    """Who may not is asked for each time, and so hears at once that it may."""
    worker = found.worker
    return (
        worker is not None
        and (worker.tenant, worker.kind) == (asks.tenant, asks.kind)
        and worker.maintenance is None
        and not worker.paused
    )


async def enlist(
    tx: Transaction, asked: Collection[Asks], *, new_id: Callable[[], str]
) -> dict[Asks, Enlisted]:
    """Each is heard of just now; what it said of itself is kept. Of two of one name the first is."""
    known = await tx.remote_workers_named({each.name for each in asked})
    allowed = await _allowed(tx, asked, known)
    kept = await tx.enlist([each.worker(new_id) for each in allowed])
    numbers = {number for each in asked for number, _ in each.first}
    users = await tx.known_users(numbers, tenants={each.tenant for each in asked})
    of_tenant, of_number = {each.tenant: each for each in users}, {each.id: each for each in users}
    return {
        each: Enlisted(
            kept.get(each.name, known.get(each.name)),
            of_tenant.get(each.tenant),
            tuple(_first(each, of_number)),
        )
        for each in asked
    }


def _first(asks: Asks, users: Mapping[UserId, User]) -> list[TenantId]:
    """Whoever is not there has no jobs either."""
    found = ((users.get(number), alias) for number, alias in asks.first)
    return [user.tenant for user, alias in found if user is not None and user.alias == alias]


async def _allowed(
    tx: Transaction, asked: Collection[Asks], known: Mapping[_Name, RemoteWorker]
) -> list[Asks]:
    """One of each name: whose it is, or who asked first and has room for one more."""
    allowed: list[Asks] = []
    new: defaultdict[TenantId, dict[_Name, Asks]] = defaultdict(dict)
    claimed: set[_Name] = set()
    for each in asked:
        if each.name in claimed:
            continue
        worker = known.get(each.name)
        if worker is None:
            new[each.tenant][each.name] = each
        elif worker.tenant == each.tenant and worker.kind == each.kind:
            allowed.append(each)
        else:
            continue
        claimed.add(each.name)
    for tenant, newcomers in new.items():
        own = await tx.remote_workers(tenant=tenant, limit=MOST_OF_ONE_OWNER)
        allowed += islice(newcomers.values(), max(0, MOST_OF_ONE_OWNER - len(own)))
    return allowed
