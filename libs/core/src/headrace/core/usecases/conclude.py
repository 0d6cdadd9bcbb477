"""Save changes of jobs and do what follows from each that ended by it: where jobs end.

Its price is settled, its run goes on, and what it made is registered, in the same transaction.

Whatever ends jobs (a result, a lease that ran out, a deadline, a wish to cancel, a producer) saves
through this, so that no end is without its settlement. The change is guarded by state and epoch, and
a terminal state has no way out: so a price is settled once, in the transaction that says how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.ports.store import Change, Transaction
from headrace.core.usecases.follow import follow
from headrace.core.usecases.kudos import settle
from headrace.core.usecases.models import register_made
from headrace.core.usecases.tally import tally


async def conclude(tx: Transaction, changes: Sequence[Change]) -> list[bool]:
    """Which were saved, as `Transaction.save` answers."""
    saved = await tx.save(changes)
    ended = [
        change for change, ok in zip(changes, saved, strict=True) if ok and change.after.terminal
    ]
    await settle(tx, ended)
    await follow(tx, [change.after for change in ended])
    await tally(tx, [change.after for change in ended])
    await register_made(tx, [change.after for change in ended])
    return saved
