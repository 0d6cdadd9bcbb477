"""Choose what a lane offers next. It costs what is chosen, whatever waits behind it.

Everything is read in one transaction that holds the right to release, so that two dispatchers never
fill the same cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.contracts.ids import Lane, TenantId
from headrace.core.fair_share import Share, Turn, in_order, visits, wanted
from headrace.core.ports.store import Transaction, Waiting

_PAGE_AT_LEAST: Final = 8  # tenants: with fewer than that in a lane, one look sees the whole ring
_LOOKS_AT_MOST: Final = (
    8  # at the queues: each uses up tenants or is the last; the rest is next turn's
)


@dataclass(slots=True)
class Turns:
    """Whose turn each lane had last. Kept in memory: losing it costs one round."""

    last: dict[Lane, Turn] = field(default_factory=dict)


async def choose(tx: Transaction, path: str, lane: Lane, room: int, turns: Turns) -> list[Waiting]:
    """At most `room` waiting jobs, in the order to offer them; moves the lane's turn on."""
    if room <= 0:
        return []
    turn = turns.last.get(lane, Turn())
    shares = await _next_in_ring(tx, path, lane, room, turn)
    heads: dict[TenantId, list[Waiting]] = {}
    ended: set[TenantId] = set()  # their whole queues are in `heads`
    for _ in range(_LOOKS_AT_MOST):
        made, after = visits(shares, _lengths(shares, heads, ended, room), room, turn)
        more = {
            tenant: jobs
            for tenant, jobs in wanted(made).items()
            if jobs > len(heads.get(tenant, ()))
        }
        if not more:
            break
        found = await tx.waiting(path, lane, more)
        heads |= {tenant: found.get(tenant, []) for tenant in more}
        ended |= {tenant for tenant, jobs in more.items() if len(heads[tenant]) < jobs}
    else:
        made, after = visits(shares, {name: len(rows) for name, rows in heads.items()}, room, turn)
    turns.last[lane] = after
    return in_order(made, heads)


def _lengths(
    shares: list[Share], heads: Mapping[TenantId, list[Waiting]], ended: set[TenantId], room: int
) -> dict[TenantId, int]:
    """What is known of the queues; one whose end was not seen may be as long as the room."""
    return {
        share.tenant: len(heads[share.tenant]) if share.tenant in ended else room
        for share in shares
    }


async def _next_in_ring(
    tx: Transaction, path: str, lane: Lane, room: int, turn: Turn
) -> list[Share]:
    """As many tenants as could fill the room with one job each; those at a cap are passed by."""
    page = max(room + 1, _PAGE_AT_LEAST)  # one more: whose turn is over stands at the front
    ring = await tx.shares(path, lane, start=None, limit=page)
    if len(ring) < page:
        return _open(ring)  # that is all of them
    ahead = await _arc(tx, path, lane, turn.tenant, page)
    if not turn.deficit:
        ahead = [share for share in ahead if share.tenant != turn.tenant]
    if len(ahead) >= room:
        return ahead
    seen = {share.tenant for share in ahead}
    around = await _arc(tx, path, lane, None, page)
    return ahead + [share for share in around if share.tenant not in seen]


async def _arc(
    tx: Transaction, path: str, lane: Lane, start: TenantId | None, page: int
) -> list[Share]:
    """A stretch of the ring, to its end or until enough may have something."""
    found: list[Share] = []
    while len(found) < page:
        shares = await tx.shares(path, lane, start=start, limit=page)
        found += [share for share in _open(shares) if share.tenant != start or not found]
        if len(shares) < page:
            break
        start = shares[-1].tenant
    return found


def _open(shares: list[Share]) -> list[Share]:
    return [share for share in shares if share.room is None or share.room > 0]
