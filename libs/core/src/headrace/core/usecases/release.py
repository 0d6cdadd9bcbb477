"""Offer waiting jobs to the workers: fairly, and only as many as they can take soon.

Who is next is `core/usecases/choose.py`. Reserve, send, mark: the rows are locked for no longer than
a statement, never while the broker thinks. A crash between sending and marking offers a job twice, which the claim settles.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from headrace.contracts.frames import Queued, encode_frame
from headrace.contracts.ids import Lane
from headrace.contracts.messages import Offer, encode
from headrace.contracts.producing import OUTSIDE
from headrace.contracts.remote import is_remote
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import TENANT_HEADER, Bus, Parcel, Sent
from headrace.core.ports.store import Store, Transaction, Waiting, WorkerRecord
from headrace.core.ports.streams import Batch
from headrace.core.usecases.choose import Turns, choose
from headrace.core.usecases.lane_queues import LaneQueues


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How many offers of a lane may lie in the broker at once."""

    per_slot: int = 2
    least: int = 2  # with no worker in sight, so that the first one finds work at once
    most: int = 200
    worker_seen_within: timedelta = timedelta(seconds=30)
    reserve_for: timedelta = timedelta(seconds=15)

    def size(self, slots: int) -> int:
        return min(self.most, max(self.least, self.per_slot * slots))


Keep: TypeAlias = Callable[[Lane, Sequence[Waiting]], list[Waiting]]
"""Those that are offered now: others are left to remote workers who wait for them."""


def keep_all(lane: Lane, rows: Sequence[Waiting]) -> list[Waiting]:  # noqa: ARG001  # as Keep has it
    return list(rows)


Beside: TypeAlias = Callable[[Transaction], Awaitable[None]]
"""What somebody else reads in the transaction that looks for waiting jobs, so that it costs none."""


async def nothing_beside(tx: Transaction) -> None:
    """For who needs nothing."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where offers go, and who is told that a job is queued."""

    path: str  # whose workers stand there
    bus: Bus
    topology: Topology
    announce: Callable[[Sequence[Batch]], Awaitable[None]]
    queues: LaneQueues
    keep: Keep = keep_all
    beside: Beside = nothing_beside


async def release(
    store: Store,
    outlet: Outlet,
    *,
    path: str,
    window: Window,
    turns: Turns,
) -> int:
    """Fill every lane's window; answers how many offers the bus kept.

    `path` is that of the jobs: usually the outlet's, or another that is deserted.
    """
    rows = await _reserve(store, outlet, path, window, turns)
    if not rows:
        return 0
    topology = outlet.topology
    troubles = await outlet.queues.open(rows)
    full = await _full(outlet, _usable(rows, troubles), window)
    flat = [
        (lane, row)
        for lane, waiting in _usable(rows, troubles).items()
        for row in waiting
        if lane not in full
    ]
    # Before the offers leave: a job's log begins with this frame, and a claim would open an epoch.
    await outlet.announce([_queued(row) for _, row in flat if row.epoch == 0])
    answers = await outlet.bus.send([_parcel(topology, lane, row) for lane, row in flat])
    outcome: dict[Sent, list[Waiting]] = {sent: [] for sent in Sent}
    for (_, row), answer in zip(flat, answers, strict=True):
        outcome[answer].append(row)
    async with store.begin() as tx:
        await tx.mark_sent(outcome[Sent.KEPT])
        later = [row for lane in full for row in rows[lane]]
        await tx.unreserve(outcome[Sent.UNROUTABLE] + _held_back(rows, troubles) + later)
        # UNKNOWN stays reserved: it is offered again when the reservation lapses.
        await outlet.queues.note(tx, troubles)
    return len(outcome[Sent.KEPT])


def _usable(
    rows: Mapping[Lane, list[Waiting]], troubles: Mapping[Lane, str | None]
) -> dict[Lane, list[Waiting]]:
    return {lane: waiting for lane, waiting in rows.items() if troubles[lane] is None}


async def _full(outlet: Outlet, rows: Mapping[Lane, list[Waiting]], window: Window) -> set[Lane]:
    """Lanes whose jobs go to remote workers, and whose offers stay behind: nobody of ours reads them.

    The window counts offers of jobs that wait, so it would be filled again for every job that is taken.
    """
    shared = [
        lane for lane, waiting in rows.items() if any(row.wants is not None for row in waiting)
    ]
    queues = [outlet.topology.work(lane) for lane in shared]
    depths = [await outlet.bus.depth(queue) for queue in queues]
    return {lane for lane, each in zip(shared, depths, strict=True) if each.ready >= window.most}


def _held_back(
    rows: Mapping[Lane, list[Waiting]], troubles: Mapping[Lane, str | None]
) -> list[Waiting]:
    return [row for lane, waiting in rows.items() if troubles[lane] is not None for row in waiting]


async def _reserve(
    store: Store, outlet: Outlet, path: str, window: Window, turns: Turns
) -> dict[Lane, list[Waiting]]:
    async with store.begin() as tx:
        await outlet.beside(tx)
        waiting = await tx.waiting_lanes(path)
        queues = outlet.queues
        lanes = [lane for lane in waiting if _is_served(lane) and not queues.resting(lane)]
        if not lanes:
            return {}
        now = await tx.now()
        seen = await tx.workers(seen_after=now - window.worker_seen_within)
        workers = [each for each in seen if each.path in {outlet.path, None}]
        await tx.hold_release()
        reserved: dict[Lane, list[Waiting]] = {}
        for lane in lanes:
            room = window.size(_slots(workers, lane)) - await tx.offered(path, lane)
            rows = outlet.keep(lane, await choose(tx, path, lane, room, turns))
            if rows and (won := await tx.reserve(rows, until=now + window.reserve_for)):
                reserved[lane] = won
        return reserved


def _is_served(lane: Lane) -> bool:
    """By workers of ours, who listen for offers."""
    return lane != OUTSIDE and not is_remote(lane)


def _slots(workers: Iterable[WorkerRecord], lane: Lane) -> int:
    return sum(worker.room(lane) for worker in workers)


def _queued(row: Waiting) -> Batch:
    # Numbered, so that it is said once, however often its job is offered before somebody takes it.
    return Batch(row.job, row.epoch, [("queued", encode_frame(Queued()))], first_seq=1)


def _parcel(topology: Topology, lane: Lane, row: Waiting) -> Parcel:
    offer = Offer(job=row.job, epoch=row.epoch, lane=lane)
    headers = {TENANT_HEADER: str(row.tenant)}
    if row.trace is not None:
        headers["traceparent"] = row.trace
    return Parcel(topology.work(lane), encode(offer), headers)


async def reoffer(
    store: Store,
    outlet: Outlet,
    *,
    paths: Sequence[str],
    older_than: timedelta,
    limit: int,
) -> int:
    """Offer again what the broker has lost (a wiped queue, a new broker); answers how many.

    An old offer is normal while every slot is busy. It is lost only if the lane's queue holds fewer
    messages than the store has offers outstanding, young ones and those of every path that is served
    from it included: in a busy lane these keep the queue filled. One that is in a worker's hands
    counts as missing; offered twice does no harm.
    """
    async with store.begin() as tx:
        old = await _sent_before(tx, paths, await tx.now() - older_than, limit)
        outstanding = {lane: sum([await tx.offered(path, lane) for path in paths]) for lane in old}
    if not old:
        return 0
    asked = {lane: rows for lane, rows in old.items() if not outlet.queues.resting(lane)}
    troubles = await outlet.queues.open(asked)
    lost: list[Waiting] = []
    for lane, rows in _usable(asked, troubles).items():
        depth = await outlet.bus.depth(outlet.topology.work(lane))
        lost += rows[: max(0, outstanding[lane] - depth.ready)]
    async with store.begin() as tx:
        await tx.resend(lost)
        await outlet.queues.note(tx, troubles)
    return len(lost)


async def _sent_before(
    tx: Transaction, paths: Sequence[str], then: datetime, limit: int
) -> dict[Lane, list[Waiting]]:
    """A path that somebody else left comes first: the queue holds none of its offers."""
    found: dict[Lane, list[Waiting]] = {}
    for path in reversed(paths):
        for lane, rows in (await tx.sent_before(path, then, limit=limit)).items():
            found.setdefault(lane, []).extend(rows)
    return found
