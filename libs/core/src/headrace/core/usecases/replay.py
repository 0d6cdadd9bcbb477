"""Do the replays whose time has come: a dead job as a new job, a message back to its queue.

A message is reserved, sent, and only then settled, so that a crash sends it twice rather than never:
whoever handles messages is idempotent. It leaves under a new id, without the notes of its death.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import JobId
from headrace.core.ports.bus import Bus, Parcel, Sent
from headrace.core.ports.dead_letters import Parked, Settled, Settlement, Source
from headrace.core.ports.store import Store, Transaction
from headrace.core.rollout import Basis, Choose
from headrace.core.usecases.retry import retry_all
from headrace.core.usecases.rollout import in_force

_RESERVED_FOR: Final = timedelta(seconds=30)
_NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Replayed:
    jobs: int
    messages: int
    full: bool


async def replay_due(  # what it decides with, each by its name
    store: Store,
    bus: Bus,
    *,
    path: str,
    limit: int,
    new_id: Callable[[], str],
    basis: Basis | None = None,
) -> Replayed:
    """`basis` is of the rollout that says where the new jobs run; None: where the dead ones did."""
    async with store.begin() as tx:
        due = await tx.due_replays(path, limit=limit)
        of_jobs = [each for each in due if each.letter.source is Source.JOB]
        messages = [each for each in due if each.letter.source is Source.MESSAGE]
        choose = None if basis is None else (await in_force(tx, basis)).path
        jobs = await _replay_jobs(tx, of_jobs, new_id, choose)
        until = await tx.now() + _RESERVED_FOR
        await tx.postpone_replays([each.number for each in messages], until=until)
    sent = await _send(bus, messages)
    if sent:
        async with store.begin() as tx:
            await tx.settle_letters([_replayed(each) for each in sent])
    return Replayed(jobs, len(sent), len(due) >= limit)


async def _replay_jobs(
    tx: Transaction, due: list[Parked], new_id: Callable[[], str], choose: Choose | None
) -> int:
    wanted = [each.letter.job for each in due if each.letter.job is not None]
    jobs = await tx.load(wanted)
    there = [each for each in due if each.letter.job in jobs]
    news = await retry_all(
        tx,
        [jobs[each.letter.job] for each in there if each.letter.job],
        new_id=new_id,
        choose=choose,
    )
    settled = [_replayed(each, new.id) for each, new in zip(there, news, strict=True)]
    # A job that was purged meanwhile cannot be run again.
    lost = [
        Settlement(each.number, Settled.DISCARDED, each.settled_by or _NOBODY)
        for each in due
        if each.letter.job not in jobs
    ]
    await tx.settle_letters(settled + lost)
    return len(news)


async def _send(bus: Bus, messages: list[Parked]) -> list[Parked]:
    """Those that the bus has kept; the rest is tried again when the reservation lapses."""
    if not messages:
        return []
    parcels = [
        Parcel(each.letter.queue, each.letter.body, each.letter.headers) for each in messages
    ]
    answers = await bus.send(parcels)
    return [each for each, sent in zip(messages, answers, strict=True) if sent is Sent.KEPT]


def _replayed(parked: Parked, job: JobId | None = None) -> Settlement:
    return Settlement(parked.number, Settled.REPLAYED, parked.settled_by or _NOBODY, job)
