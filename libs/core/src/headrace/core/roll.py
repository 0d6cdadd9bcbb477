"""The roll of remote workers that ask for work: called for many at once, and remembered for a moment.

Laws:
1. However many ask, the store has one question at a time from this process: a few statements for all of
   them, and one more for each owner that has a new worker.
2. Who was let in is let in again for `KNOWN_S` without a question, so long as it says the same of itself.
   What its owner changes through this process counts at once; through another, once that time is over.
   Maintenance counts at once everywhere: the dispatcher knows of it.
3. What was read before a change here is not remembered after it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from headrace.contracts.ids import TenantId, UserId, WorkerId
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.users import User
from headrace.core.together import Together

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
        self._known: OrderedDict[Asks, tuple[Enlisted, float]] = OrderedDict()
        self._changes = 0

    async def call(self, asks: Asks) -> Enlisted:
        """The first time one is heard of, it is registered. Raises Unavailable."""
        enlisted, until = self._known.get(asks, (None, 0.0))
        now, changes = self._monotonic(), self._changes
        if enlisted is not None and now < until:
            return enlisted
        found = await self._questions.ask(asks) or Enlisted(None, None)
        if _may_work(asks, found) and changes == self._changes:
            self._remember(asks, found, now + KNOWN_S)
        return found

    def forget(self) -> None:
        """A worker was changed or deleted, or an owner: seldom, so all are asked for again."""
        self._changes += 1
        self._known.clear()

    def _remember(self, asks: Asks, found: Enlisted, until: float) -> None:
        self._known[asks] = (found, until)
        self._known.move_to_end(asks)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _answer(self, asked: Set[Asks]) -> dict[Asks, Enlisted]:
        async with self._store.begin() as tx:
            return await enlist(tx, asked, new_id=self._new_id)


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
