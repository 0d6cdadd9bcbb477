"""Call those who are to be told: take what is due, fairly, and note what came of each.

Laws:
1. A call is taken by one dispatcher at a time: a reservation lapses by itself, so one that died with its
   dispatcher is made again. A receiver knows it by its `webhook-id`.
2. However many calls one host or one tenant has due, and however slow they are, each takes no more of the
   pool than its share, and every queue that is due has its turn.
3. No transaction is open while a receiver is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from headrace.contracts.ids import EndpointId, TenantId
from headrace.core.ports.receivers import Answer
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.webhooks import Call, Endpoint, Queue, Signing
from headrace.core.webhook_retry import given_up, judge, why_nobody
from headrace.core.webhook_signing import signature
from headrace.core.webhooks import host_of

QUEUES: Final = 200  # looked at in one turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """How many calls at once, of one dispatcher."""

    in_all: int = 32
    per_tenant: int = 8
    per_host: int = 4


@dataclass(frozen=True, slots=True)
class Outgoing:
    call: Call
    url: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True, slots=True)
class Taken:
    outgoing: list[Outgoing]
    dropped: list[Call]  # with nobody to call any more
    place: Queue | None  # where to go on looking; None: at the beginning


@dataclass(slots=True)
class Room:
    """What is free in the pool, counted down as calls are chosen."""

    pool: Pool
    in_all: int = 0
    tenants: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def beside(cls, pool: Pool, under_way: Collection[Outgoing]) -> Room:
        room = cls(pool)
        for each in under_way:
            room.take(each.call.tenant, each.host)
        return room

    def of(self, tenant: str, host: str) -> int:
        """For this host and tenant, now."""
        return min(
            self.pool.in_all - self.in_all,
            self.pool.per_tenant - self.tenants[tenant],
            self.pool.per_host - self.hosts[host],
        )

    def take(self, tenant: str, host: str, count: int = 1) -> None:
        self.in_all += count
        self.tenants[tenant] += count
        self.hosts[host] += count


async def take_calls(
    store: Store,
    room: Room,
    *,
    after: Queue | None,
    lease: timedelta,
    new_secret: Callable[[], str],
) -> Taken:
    async with store.begin() as tx:
        now = await tx.now()
        queues, place = await tx.due_queues(now, after=after, limit=QUEUES)
        chosen: list[Call] = []
        for queue in queues:
            if (free := room.of(queue.tenant, queue.host)) <= 0:
                continue
            found = await tx.due_calls(queue, now, limit=free)
            room.take(queue.tenant, queue.host, len(found))
            chosen += found
        reserved = await tx.reserve_calls(chosen, until=now + lease)
        named = {call.endpoint for call in reserved if call.endpoint is not None}
        endpoints = await tx.known_endpoints(sorted(named))
        told: list[tuple[Call, Endpoint | None]] = []
        dropped: list[Call] = []
        for call in reserved:
            endpoint = endpoints.get(call.endpoint) if call.endpoint is not None else None
            if (why := why_nobody(call, endpoint)) is None:
                told.append((call, endpoint))
            else:
                dropped.append(given_up(call, now, why))
                await tx.save_call(call, dropped[-1])
        signings = await _signings(tx, [call for call, _ in told], new_secret)
    outgoing = [
        _outgoing(call, endpoint, signings[call.tenant, call.signed_as], now)
        for call, endpoint in told
    ]
    return Taken(outgoing, dropped, place)


async def _signings(
    tx: Transaction, calls: Sequence[Call], new_secret: Callable[[], str]
) -> dict[tuple[TenantId, EndpointId], Signing]:
    """In one order everywhere: two dispatchers that make the same ones do not wait in a ring."""
    wanted = sorted({(call.tenant, call.signed_as) for call in calls})
    return {each: await tx.signing(*each, new_secret) for each in wanted}


def _outgoing(call: Call, endpoint: Endpoint | None, signing: Signing, now: datetime) -> Outgoing:
    stamp = int(now.timestamp())
    headers = {
        "webhook-id": call.message,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature(signing.valid(now), call.message, stamp, call.body.encode()),
        **({"traceparent": call.trace} if call.trace is not None else {}),
    }
    return Outgoing(call, call.url if endpoint is None else endpoint.url, headers)


async def note_answer(store: Store, outgoing: Outgoing, answer: Answer, *, random: Random) -> Call:
    """As it is now. What came too late, after its reservation had lapsed, changes nothing."""
    call = outgoing.call
    async with store.begin() as tx:
        endpoint = None
        if call.endpoint is not None:
            endpoint = await tx.endpoint(call.tenant, call.endpoint)
        judged = judge(call, endpoint, answer, now=await tx.now(), random=random)
        if await tx.save_call(call, judged.call) and judged.endpoint is not None:
            await tx.save_endpoint(judged.endpoint)
    return judged.call
