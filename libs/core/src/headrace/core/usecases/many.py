"""What an operator does to many jobs at once: cancel them, or try them again; each refused by itself.

At most so many a request, newest first; a filter that finds more says where to go on. A dry run decides
the same and does nothing. The audit keeps what was asked for and the first of whom it met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.contracts.ids import JobId
from headrace.core.errors import QueuesFull, TenantQueueFull
from headrace.core.job import TERMINAL, Job, State
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.queries import Cursor, Search
from headrace.core.ports.store import Transaction
from headrace.core.rollout import Choose
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.retry import retry_all
from headrace.core.usecases.settle import settle_retried

AT_ONCE: Final = 1000  # jobs that one request may touch
_NAMED_IN_AUDIT: Final = 100
_OPEN: Final = sorted(set(State) - TERMINAL)
_WRONG: Final = sorted(TERMINAL - {State.SUCCEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which jobs, and who wants it; either by their ids or by what they have in common."""

    who: str
    ids: Sequence[JobId] | None = None
    search: Search | None = None
    said: Mapping[str, Any]  # the filter in the operator's words, for the audit
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    job: JobId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    matched: int
    done: int  # of a dry run: it would be
    refused: list[Refusal]
    next: Cursor | None = None  # there may be more that the filter finds


async def cancel_many(tx: Transaction, wish: Wish) -> Outcome:
    """By a filter, of those that have not ended."""
    found, unknown, next_ = await _matching(tx, wish, states=_OPEN)
    refused = [*unknown, *_refusals(found, _why_not_cancel)]
    good = _without(found, refused)
    if not wish.dry_run:
        wished = set(await tx.wish_all([job.id for job in good]))
        refused += [Refusal(job.id, "has just ended") for job in good if job.id not in wished]
        good = _without(good, refused)
        await tx.audit([_deed("jobs.cancel", wish, good, refused)])
    return _outcome(found, unknown, good, refused, next_)


async def retry_many(
    tx: Transaction,
    wish: Wish,
    *,
    admission: Admission,
    new_id: Callable[[], str],
    trace: str | None,
    choose: Choose | None = None,
) -> Outcome:
    """By a filter, of those that have ended; whoever means those that succeeded has to say so.

    `choose` as of `retry`. What died of these has its dead letter settled.
    """
    found, unknown, next_ = await _matching(tx, wish, states=_WRONG)
    refused = [*unknown, *_refusals(found, _why_not_retry)]
    good: list[Job] = []
    for job in _without(found, refused):
        if (why := await _full(tx, admission, job, pending=good)) is None:
            good.append(job)
        else:
            refused.append(Refusal(job.id, why))
    if not wish.dry_run:
        made = await retry_all(tx, good, new_id=new_id, trace=trace, choose=choose)
        await settle_retried(tx, list(zip(good, made, strict=True)), who=wish.who)
        for job in good:
            admission.count(job.tenant)
        await tx.audit([_deed("jobs.retry", wish, good, refused)])
    return _outcome(found, unknown, good, refused, next_)


async def _matching(
    tx: Transaction, wish: Wish, *, states: Sequence[State]
) -> tuple[list[Job], list[Refusal], Cursor | None]:
    """Those found, those that are not, and where to go on."""
    if wish.search is not None:
        search = wish.search if wish.search.state else replace(wish.search, states=states)
        page = await tx.search(search)
        return await _locked(tx, page.jobs), [], page.next
    ids = list(dict.fromkeys(wish.ids or ()))
    known = await tx.load(ids)
    unknown = [Refusal(job, "there is no such job") for job in ids if job not in known]
    return [known[job] for job in ids if job in known], unknown, None


async def _locked(tx: Transaction, jobs: Sequence[Job]) -> list[Job]:
    """As they are now that nobody else moves them."""
    known = await tx.load([job.id for job in jobs])
    return [known[job.id] for job in jobs if job.id in known]


def _why_not_cancel(job: Job) -> str | None:
    if job.terminal:
        return f"has ended already: {job.state}"
    return "was asked to end already" if job.cancel_asked_at is not None else None


def _why_not_retry(job: Job) -> str | None:
    return None if job.terminal else f"is {job.state}; only a job that has ended can be retried"


def _refusals(jobs: Iterable[Job], why_not: Callable[[Job], str | None]) -> list[Refusal]:
    return [Refusal(job.id, why) for job in jobs if (why := why_not(job)) is not None]


def _without(jobs: Iterable[Job], refused: Iterable[Refusal]) -> list[Job]:
    out = {each.job for each in refused}
    return [job for job in jobs if job.id not in out]


async def _full(
    tx: Transaction, admission: Admission, job: Job, *, pending: Sequence[Job]
) -> str | None:
    """An operator's retries take their turn at the door as its tenant's own would."""
    await admission.look_within(tx, job.tenant)
    mine = sum(each.tenant == job.tenant for each in pending)
    try:
        admission.refuse_if_full(job.tenant, more=mine, more_in_all=len(pending))
    except (TenantQueueFull, QueuesFull) as error:
        return str(error)
    return None


def _outcome(
    found: Sequence[Job],
    unknown: Sequence[Refusal],
    good: Sequence[Job],
    refused: list[Refusal],
    next_: Cursor | None,
) -> Outcome:
    matched = len(found) + len(unknown)
    return Outcome(matched=matched, done=len(good), refused=refused, next=next_)


def _deed(action: str, wish: Wish, done: Sequence[Job], refused: Sequence[Refusal]) -> Deed:
    said = ", ".join(f"{name}={value}" for name, value in wish.said.items())
    subject = said or f"{len(wish.ids or ())} named jobs"
    first = [str(job.id) for job in done[:_NAMED_IN_AUDIT]]
    return Deed(
        wish.who, action, subject, {"count": len(done), "refused": len(refused), "ids": first}
    )
