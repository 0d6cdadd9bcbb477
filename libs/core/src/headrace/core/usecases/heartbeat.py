"""Hear that a worker is alive: renew its leases, and tell it what to stop, and whether to take nothing new."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Heartbeat, Heartbeats, Order, Orders
from headrace.core.job import State
from headrace.core.ports.store import Renewal, Store

LONGEST_LEASE_S: Final = 3600.0  # that a worker may ask for


async def heartbeat(store: Store, beat: Heartbeats, *, path: str, lease: timedelta) -> Orders:
    if beat.lease_s is not None:
        lease = timedelta(seconds=min(beat.lease_s, LONGEST_LEASE_S))
    async with store.begin() as tx:
        slots = {Lane(lane): n for lane, n in beat.slots.items()}
        drain = await tx.see_worker(beat.worker, slots, path=path, vitals=beat.vitals)
        states = await tx.renew(
            [Renewal(each.job, each.epoch, each.fraction) for each in beat.heartbeats],
            worker=beat.worker,
            until=await tx.now() + lease,
        )
    return Orders(
        lease_s=lease.total_seconds(),
        orders=[_order(*each) for each in zip(beat.heartbeats, states, strict=True)],
        sequence=beat.sequence,
        drain=drain,
    )


def _order(beat: Heartbeat, state: State | None) -> Order:
    match state:
        case State.RUNNING:
            return Order(beat.job, beat.epoch, "go")
        case State.CANCELLING:
            return Order(beat.job, beat.epoch, "cancel")
        case _:
            return Order(beat.job, beat.epoch, "lost")
