"""What the members of a gang are told when its attempt ends, or shall: all that the first is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.messages import Order
from headrace.core.job import HELD, Job
from headrace.core.ports.gangs import GangMember
from headrace.core.ports.store import Transaction

Hints: TypeAlias = list[tuple[WorkerId, Order]]
"""For speed: what answers the next heartbeat tells for sure."""
Members: TypeAlias = Mapping[JobId, Sequence[GangMember]]


async def members_of(tx: Transaction, jobs: Iterable[Job]) -> Members:
    """Of those that several workers run. To be asked before they are saved as let go."""
    return await tx.members([job.id for job in jobs if job.spec.nodes > 1 and job.state in HELD])


def orders(jobs: Iterable[Job], members: Members, order: Literal["cancel", "lost"]) -> Hints:
    """`jobs` as they were when they were held."""
    return [
        (member.worker, Order(job.id, job.epoch, order))
        for job in jobs
        for member in members.get(job.id, ())
        if member.rank is not None and member.epoch == job.epoch
    ]
