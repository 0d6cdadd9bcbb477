"""Telling workers at once what the answer to their next heartbeat tells them for sure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Order, Orders, encode
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus, Parcel


async def hint(
    bus: Bus, topology: Topology, hints: Sequence[tuple[WorkerId, Order]], *, lease: timedelta
) -> None:
    lease_s = lease.total_seconds()
    parcels = [
        Parcel(topology.mailbox(worker), encode(Orders(lease_s=lease_s, orders=[order])))
        for worker, order in hints
    ]
    if parcels:
        await bus.send(parcels)
