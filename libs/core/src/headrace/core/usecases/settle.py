"""What an operator does about dead letters: replay them, at a rate, or discard them; all audited.

Nothing is replayed by itself. A replay is planned here, in the store, and done by a dispatcher when
its time comes: so its rate holds however many ask, and whichever process dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from headrace.core.errors import LetterNotFound, LetterSettled
from headrace.core.job import Job, State
from headrace.core.ports.dead_letters import Deed, LetterQuery, Parked, Settled, Settlement
from headrace.core.ports.store import Transaction

ITS_TENANT: Final = "its tenant"  # who settled it
AT_ONCE: Final = 1000  # letters that one request may settle; it says how many are left


@dataclass(frozen=True, slots=True)
class Done:
    count: int
    more: bool  # the filter finds more than one request may touch: ask again
    until: datetime | None = None  # when the last replay is planned for


async def find_letter(tx: Transaction, number: int) -> Parked:
    """Raises LetterNotFound."""
    found = await tx.letter(number)
    if found is None:
        raise LetterNotFound(number)
    return found


async def replay_letter(tx: Transaction, number: int, *, who: str) -> Parked:
    """Plan one for now, ahead of any that are waiting. Raises LetterNotFound, LetterSettled."""
    letter = await open_letter(tx, number)
    if not letter.letter.whole:
        raise LetterSettled(number, "not whole: only its beginning was kept")
    await tx.plan_replays({number: await tx.now()}, who=who)
    await tx.audit([Deed(who, "dead-letter.replay", str(number))])
    return await find_letter(tx, number)


async def replay_letters(tx: Transaction, query: LetterQuery, *, per_s: float, who: str) -> Done:
    """Plan all that a filter finds, oldest first, one after another at this rate."""
    found, more = await matching(tx, replace(query, unplanned=True))
    now = await tx.now()
    last = await tx.last_replay()
    # Behind what is planned already: two requests do not make it twice as fast.
    start = now if last is None else max(now, last + timedelta(seconds=1 / per_s))
    times = {
        each.number: start + timedelta(seconds=place / per_s)
        for place, each in enumerate(
            sorted((each for each in found if each.letter.whole), key=lambda each: each.number)
        )
    }
    planned = await tx.plan_replays(times, who=who)
    await tx.audit([_deed(who, "dead-letters.replay", query, planned, per_s=per_s)])
    return Done(len(planned), more, max(times.values(), default=None))


async def discard_letter(tx: Transaction, number: int, *, who: str) -> Parked:
    """Also one that is about to be replayed. Raises LetterNotFound, LetterSettled."""
    if (found := await find_letter(tx, number)).settled is not None:
        raise LetterSettled(number, found.settled)
    await tx.settle_letters([Settlement(number, Settled.DISCARDED, who)])
    await tx.audit([Deed(who, "dead-letter.discard", str(number))])
    return await find_letter(tx, number)


async def discard_letters(tx: Transaction, query: LetterQuery, *, who: str) -> Done:
    found, more = await matching(tx, query)
    gone = await tx.settle_letters(
        [Settlement(each.number, Settled.DISCARDED, who) for each in found]
    )
    await tx.audit([_deed(who, "dead-letters.discard", query, gone)])
    return Done(len(gone), more)


async def settle_retried(
    tx: Transaction, again: Sequence[tuple[Job, Job]], *, who: str = ITS_TENANT
) -> None:
    """Dead jobs were tried again without their letters, each as another: nothing is left to do for them.

    One that is being replayed in this moment is settled by that.
    """
    news = {old.id: new.id for old, new in again if old.state is State.DEAD}
    found = [(each, each.letter.job) for each in await tx.letters_of(list(news))]
    await tx.settle_letters(
        [Settlement(each.number, Settled.REPLAYED, who, news[job]) for each, job in found if job]
    )


async def matching(tx: Transaction, query: LetterQuery) -> tuple[list[Parked], bool]:
    """Those that one request touches, and whether there are more."""
    found = await tx.letters(replace(query, settled=False, before=None, limit=AT_ONCE + 1))
    return found[:AT_ONCE], len(found) > AT_ONCE


async def open_letter(tx: Transaction, number: int) -> Parked:
    """One that can be replayed. Raises LetterNotFound, LetterSettled."""
    found = await find_letter(tx, number)
    if found.settled is not None:
        raise LetterSettled(number, found.settled)
    if found.replay_at is not None:
        raise LetterSettled(number, "about to be replayed")
    return found


def _deed(who: str, action: str, query: LetterQuery, numbers: list[int], **more: Any) -> Deed:
    asked = {
        name: value
        for name in ("fingerprint", "source", "queue", "tenant")
        if (value := getattr(query, name)) is not None
    }
    subject = ", ".join(f"{name}={value}" for name, value in asked.items()) or "all"
    return Deed(who, action, subject, {"count": len(numbers), **more})
