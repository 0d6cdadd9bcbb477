"""Count the items whose jobs have ended, in the transaction in which they did: `conclude` calls it."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.batch import end_of_item
from headrace.core.job import Job
from headrace.core.ports.store import Transaction


async def tally(tx: Transaction, over: Sequence[Job]) -> None:
    """Last of all that a transaction does about ends: the count is held from here on."""
    ends = [end for job in over if (end := end_of_item(job)) is not None]
    if ends:
        await tx.end_items(ends)
