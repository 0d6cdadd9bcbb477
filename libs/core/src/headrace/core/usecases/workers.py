"""The workers that there are, what each does, and whether it can receive; and asking one to drain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contracts.ids import Lane, WorkerId
from headrace.core.errors import WorkerNotFound
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.operations import Held, Member
from headrace.core.ports.store import Transaction
from headrace.core.usecases.receiving import Judgement, judge

_WORKERS: Final = 2_000
_HELD: Final = 10_000  # what so many can hold


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    member: Member
    running: Sequence[Held]
    judgement: Judgement


async def workers(tx: Transaction) -> list[WorkerStanding]:
    """By name."""
    now = await tx.now()
    held = await tx.held(limit=_HELD)
    found: list[WorkerStanding] = []
    for member in await tx.fleet(limit=_WORKERS):
        running = [each for each in held if each.worker == member.id]
        busy = Counter[Lane](each.lane for each in running)
        found.append(WorkerStanding(member, running, judge(member, busy=busy, now=now)))
    return found


async def drain(tx: Transaction, worker: WorkerId, *, who: str) -> WorkerStanding:
    """It hears of it with its next heartbeat, and finishes what runs. Raises WorkerNotFound."""
    return await _turn(tx, worker, who=who, drain=True)


async def let_on(tx: Transaction, worker: WorkerId, *, who: str) -> WorkerStanding:
    """Raises WorkerNotFound."""
    return await _turn(tx, worker, who=who, drain=False)


async def _turn(tx: Transaction, worker: WorkerId, *, who: str, drain: bool) -> WorkerStanding:
    if not await tx.ask_drain(worker, drain=drain):
        raise WorkerNotFound(worker)
    await tx.audit([Deed(who, "worker.drain" if drain else "worker.resume", worker)])
    for each in await workers(tx):
        if each.member.id == worker:
            return each
    raise WorkerNotFound(worker)  # beyond what is listed
