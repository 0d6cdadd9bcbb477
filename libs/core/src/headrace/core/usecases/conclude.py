"""Save changes of jobs and do what follows from each that ended by it: where jobs end.

Its price is settled, what it made is registered, and its run goes on, in the same transaction.

Whatever ends jobs (a result, a lease that ran out, a deadline, a wish to cancel, a producer) saves
through this, so that no end is without its settlement. The change is guarded by state and epoch, and
a terminal state has no way out: so a price is settled once, in the transaction that says how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.ports.store import Change, Transaction
from headrace.core.usecases.follow import follow, runs_of
from headrace.core.usecases.kudos import settle
from headrace.core.usecases.made import lock_models
from headrace.core.usecases.models import register_made
from headrace.core.usecases.tally import tally


async def conclude(tx: Transaction, changes: Sequence[Change]) -> list[bool]:
    """Which were saved, as `Transaction.save` answers."""
    saved = await tx.save(changes)
    ended = [
        change for change, ok in zip(changes, saved, strict=True) if ok and change.after.terminal
    ]
    await settle(tx, ended)
    over = [change.after for change in ended]
    runs = await runs_of(tx, over)
    await lock_models(tx, over, runs)
    await register_made(tx, over)  # first: a run may go on with what it has trained
    await follow(tx, over, runs)
    await tally(tx, over)
    return saved
