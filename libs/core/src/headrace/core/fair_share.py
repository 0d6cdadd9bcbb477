"""Whose job is offered next: deficit round robin between tenants, by weight and under caps.

After M. Shreedhar and G. Varghese, "Efficient Fair Queueing using Deficit Round Robin", SIGCOMM 1995:
tenants stand in a ring, a visit adds a tenant's weight to its deficit, and each job takes one off. All
jobs cost one here, so what a visit leaves is only what the window had no room for; it is carried over.

Laws, whatever the queues hold:
1. While a tenant waits below its cap, no other gets more than its weight before it has its turn: it
   waits for at most the sum of the others' weights.
2. Of tenants that all wait, the jobs had by each differ from its weight's share by less than a round.
3. Nobody gets more than its cap leaves, and no room stays empty while somebody may have it.

Within a tenant the order is the store's: see `PRIORITY_IS_WORTH`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from headrace.contracts.ids import TenantId

Row = TypeVar("Row")

PRIORITY_IS_WORTH: Final = timedelta(minutes=1)
"""Ageing: a point of priority is a head start of this much, no more. So of two jobs of one tenant, one
that came more than (difference of priorities) minutes earlier goes first: nothing waits for ever."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a tenant may have: `weight` jobs a round, and `room` more until a cap (None: no cap)."""

    tenant: TenantId
    weight: int = 1
    room: int | None = None

    def of(self, waiting: int) -> int:
        return waiting if self.room is None else min(waiting, max(0, self.room))


@dataclass(frozen=True, slots=True)
class Turn:
    """Who had its turn last, and what of it is still to come."""

    tenant: TenantId | None = None
    deficit: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    tenant: TenantId
    jobs: int


def in_ring(shares: Sequence[Share], turn: Turn) -> list[Share]:
    """By name, from the one whose turn it is: the one that was cut short, or who comes after it."""
    ring = sorted(shares, key=lambda share: share.tenant)
    if turn.tenant is None:
        return ring
    first = [each for each in ring if _is_next(each.tenant, turn.tenant, turn.deficit)]
    return first + ring[: len(ring) - len(first)]


def _is_next(tenant: TenantId, last: TenantId, deficit: int) -> bool:
    return tenant >= last if deficit else tenant > last


def visits(
    shares: Sequence[Share], waiting: Mapping[TenantId, int], room: int, turn: Turn
) -> tuple[list[Visit], Turn]:
    """Go round until `room` jobs are given out or nobody may have more."""
    left = {share.tenant: share.of(waiting.get(share.tenant, 0)) for share in shares}
    ring = deque(share for share in in_ring(shares, turn) if left[share.tenant] > 0)
    made: list[Visit] = []
    while room > 0 and ring:
        share = ring.popleft()
        cut_short = turn.deficit if share.tenant == turn.tenant else 0
        due = cut_short or share.weight
        jobs = min(due, left[share.tenant], room)
        made.append(Visit(share.tenant, jobs))
        room -= jobs
        left[share.tenant] -= jobs
        # As in the paper, a queue that is empty keeps no deficit: it cannot save up.
        turn = Turn(share.tenant, due - jobs if left[share.tenant] else 0)
        if left[share.tenant]:
            ring.append(share)
    return made, turn


def wanted(made: Sequence[Visit]) -> dict[TenantId, int]:
    """How many jobs each tenant has of these visits."""
    jobs: dict[TenantId, int] = {}
    for visit in made:
        jobs[visit.tenant] = jobs.get(visit.tenant, 0) + visit.jobs
    return jobs


def in_order(made: Sequence[Visit], heads: Mapping[TenantId, Sequence[Row]]) -> list[Row]:
    """The jobs of these visits, as they are to be offered."""
    taken: dict[TenantId, int] = {}
    rows: list[Row] = []
    for visit in made:
        begin = taken.get(visit.tenant, 0)
        taken[visit.tenant] = begin + visit.jobs
        rows += heads[visit.tenant][begin : begin + visit.jobs]
    return rows
