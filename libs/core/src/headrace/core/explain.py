"""Why a job is where it is: one rule that blocks it, in words, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from headrace.contracts.ids import JobId, Lane, WorkerId
from headrace.contracts.messages import WarmModel
from headrace.contracts.producing import OUTSIDE
from headrace.contracts.remote import is_remote
from headrace.core.job import HELD, Job, State
from headrace.core.ports.store import Crowd, Terms, WorkerRecord


class Rule(StrEnum):
    """In the order they are looked at: what blocks most comes first."""

    ENDED = "ended"
    RUNNING = "running"
    CANCELLING = "cancelling"  # asked to end, and about to
    START_DEADLINE = "start_deadline"  # passed: about to fail
    SCHEDULED = "scheduled"
    RETRY_LATER = "retry_later"
    LANE_PAUSED = "lane_paused"
    LANE_UNUSABLE = "lane_unusable"  # its queue is not as it must be: a person has to mend it
    NO_PRODUCER = "no_producer"  # outside: it comes by itself
    NO_WORKER = "no_worker"
    FEW_WORKERS = "few_workers"  # it runs on several at once, and there are not so many
    GATHERING = "gathering"  # of those some are there already, and wait for the others
    OFFERED = "offered"  # in the workers' queue, to the next free slot
    TENANT_CAP = "tenant_cap"
    LANE_CAP = "lane_cap"  # the tenant's, in this lane
    SLOTS_BUSY = "slots_busy"
    GANGS_TURN = "gangs_turn"  # another job gathers its workers, or it rests after it could not
    NEXT = "next"  # nothing blocks it: it is about to be offered


@dataclass(frozen=True, slots=True)
class Before:
    """A job of the same tenant that has what another waits for."""

    job: JobId
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What an attempt waits for inside its worker, as that has said."""

    what: str
    since: datetime
    note: str
    before: Sequence[Before] = ()
    others: int = 0  # jobs of other tenants that are before it too


@dataclass(frozen=True, slots=True)
class Gang:
    """Of a job for several workers."""

    able: int  # workers that could take part
    there: Sequence[WorkerId]  # that wait for the others, or run it, by rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Read in one transaction."""

    job: Job
    now: datetime
    paused: Mapping[Lane, datetime]
    troubles: Mapping[Lane, str]
    workers: Sequence[WorkerRecord]  # heard of lately, whatever they run
    terms: Terms
    crowd: Crowd
    ahead: int
    warm: Mapping[WorkerId, WarmModel] = field(default_factory=dict)  # who has its model loaded
    inside: Inside | None = None  # None: its worker says nothing of a wait
    gang: Gang | None = None  # None: it runs on one worker

    @property
    def swap_s(self) -> float | None:
        """What loading its model took where it is loaded, so about what it costs elsewhere."""
        return max((each.load_s for each in self.warm.values()), default=None)

    @property
    def eligible(self) -> list[WorkerRecord]:
        return [worker for worker in self.workers if worker.room(self.job.lane) > 0]

    @property
    def draining(self) -> bool:
        """Somebody could take it, but was asked to take nothing new."""
        return any(worker.slots.get(self.job.lane, 0) > 0 for worker in self.workers)

    @property
    def slots(self) -> int:
        return sum(worker.slots[self.job.lane] for worker in self.eligible)


@dataclass(frozen=True, slots=True)
class Explanation:
    rule: Rule
    why: str
    relax: tuple[str, ...] = ()  # any of these would help


def explain(facts: Facts) -> Explanation:
    looked_at = (_as_it_stands, _in_time, _in_its_lane, _as_gang, _offered)
    said = (look(facts) for look in looked_at)
    found = next((each for each in said if each is not None), None) or _among_others(facts)
    return _with_its_model(facts, found) if found.rule in _ABOUT_TO_RUN else found


_TOLD: Final = 3  # jobs that are before one, each by its id
_LONGEST: Final = 200  # of an error's words
_ABOUT_TO_RUN: Final = frozenset({Rule.OFFERED, Rule.SLOTS_BUSY, Rule.NEXT})


def _with_its_model(facts: Facts, found: Explanation) -> Explanation:
    """Where its model is loaded, and what it costs to go elsewhere."""
    if facts.swap_s is None:
        return found
    slots = sum(each.slots for each in facts.warm.values())
    where = f"{slots} {'slot' if slots == 1 else 'slots'} of {_workers(len(facts.warm))}"
    told = f"Model {facts.job.spec.model} is loaded in {where}; loading it took {facts.swap_s:g} s."
    return replace(found, why=f"{found.why} {told}")


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _as_it_stands(facts: Facts) -> Explanation | None:
    job = facts.job
    if job.terminal:
        return Explanation(Rule.ENDED, f"It has ended: {job.state}.")
    if job.cancel_asked_at is not None:
        return Explanation(Rule.CANCELLING, "It was asked to end, and ends as soon as it can.")
    if job.state in HELD:
        who = f"Worker {job.worker} runs"
        if facts.gang is not None:
            who = f"Workers {', '.join(facts.gang.there)} run"
        why = f"{who} attempt {job.attempt}."
        return Explanation(Rule.RUNNING, f"{why}{_inside(facts.inside)}")
    return None


def _inside(inside: Inside | None) -> str:
    if inside is None:
        return ""
    before = [f"job {each.job} since {_time(each.since)}" for each in inside.before[:_TOLD]]
    if more := len(inside.before) - len(before):
        before.append(f"{_jobs(more)} more")
    if inside.others:
        before.append(f"{_jobs(inside.others)} of others")
    waits = f" There it waits since {_time(inside.since)} {inside.note}."
    return f"{waits} Before it: {', '.join(before)}." if before else waits


def _in_time(facts: Facts) -> Explanation | None:
    job, deadline = facts.job, facts.job.spec.start_deadline
    if deadline is not None and deadline <= facts.now and job.attempt == 0:
        why = f"Its start_deadline {_time(deadline)} has passed; it is about to fail."
        return Explanation(
            Rule.START_DEADLINE, why, ("submit it again with a later start_deadline",)
        )
    if job.state is not State.SCHEDULED:
        return None
    until = "now" if job.not_before is None else _time(job.not_before)
    if job.attempt == 0:
        wish = ("submit it without run_at, or with an earlier one",)
        return Explanation(Rule.SCHEDULED, f"It is planned for {until}.", wish)
    said = "" if job.error is None else f" ({_error(job.error)})"
    why = f"Attempt {job.attempt} failed{said}; the next one may start at {until}."
    return Explanation(Rule.RETRY_LATER, why)


def _error(error: Mapping[str, Any]) -> str:
    kind, message = error.get("kind", "internal"), str(error.get("message", ""))
    short = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"
    return f"{kind}: {short}" if short else str(kind)


def _in_its_lane(facts: Facts) -> Explanation | None:
    lane = facts.job.lane
    if lane == OUTSIDE:
        why = "No producer has opened its stream yet."
        return Explanation(Rule.NO_PRODUCER, why, ("start its producer with this job's id",))
    if (since := facts.paused.get(lane)) is not None:
        why = f"Lane {lane} is paused since {_time(since)}."
        return Explanation(Rule.LANE_PAUSED, why, (f"resume lane {lane}",))
    if (trouble := facts.troubles.get(lane)) is not None:
        why = f"Lane {lane} cannot be offered. {trouble}"
        return Explanation(Rule.LANE_UNUSABLE, why, (f"mend the queue of lane {lane}",))
    if not facts.eligible:
        return _without_workers(facts)
    return None


def _offered(facts: Facts) -> Explanation | None:
    if facts.crowd.offered_at is not None:
        why = "It is offered to the workers; the next free slot that comes to it takes it."
        return Explanation(Rule.OFFERED, f"{why} {_busy(facts)}", _more_slots(facts))
    return None


def _without_workers(facts: Facts) -> Explanation:
    lane = facts.job.lane
    if is_remote(lane):
        why = "No remote worker that fits it has asked for work lately, or only such as drain."
        wish = f"let a worker that has {facts.job.spec.model} ask by POST /api/v2/workers/pop"
        return Explanation(Rule.NO_WORKER, why, (wish,))
    start = f"start a worker with engine {lane}"
    if facts.draining:
        why = f"Every worker with slots for lane {lane} is draining."
        return Explanation(Rule.NO_WORKER, why, ("let one of them take offers again", start))
    why = f"No worker with slots for lane {lane} was heard of lately."
    return Explanation(Rule.NO_WORKER, why, (start,))


def _as_gang(facts: Facts) -> Explanation | None:
    """It is never offered: its workers are called together."""
    gang = facts.gang
    if gang is None:
        return None
    lane, nodes = facts.job.lane, facts.job.spec.nodes
    more = f"start workers with engine {lane} and GANG_NODES of at least {nodes}"
    if gang.able < nodes:
        there = f"of lane {lane} there {_are(gang.able)} that can take part, and not draining"
        why = f"It runs on {nodes} workers at once; {there}."
        return Explanation(
            Rule.FEW_WORKERS, why, (more, f"submit it with fewer nodes than {nodes}")
        )
    if facts.crowd.offered_at is not None:
        come = ", ".join(gang.there) or "nobody yet"
        why = f"Its {nodes} workers are called together. There so far: {come}. {_busy(facts)}"
        return Explanation(Rule.GATHERING, why, (*_more_slots(facts), more))
    capped = _at_a_cap(facts)
    if capped is not None:
        return capped
    why = (
        f"It runs on {nodes} workers at once, and such jobs gather theirs one after the other;"
        " who could not goes on a minute later."
    )
    return Explanation(Rule.GANGS_TURN, why, _more_slots(facts))


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


def _at_a_cap(facts: Facts) -> Explanation | None:
    terms, crowd, lane = facts.terms, facts.crowd, facts.job.lane
    if terms.max_running is not None and crowd.taken_by_tenant >= terms.max_running:
        why = f"Its tenant has {_jobs(crowd.taken_by_tenant)} running or offered, and may have {terms.max_running}."
        return Explanation(Rule.TENANT_CAP, why, ("raise the tenant's max_running",))
    most = terms.max_running_per_lane
    if most is not None and crowd.taken_by_tenant_in_lane >= most:
        taken = crowd.taken_by_tenant_in_lane
        why = (
            f"Its tenant has {_jobs(taken)} running or offered in lane {lane}, and may have {most}."
        )
        return Explanation(Rule.LANE_CAP, why, ("raise the tenant's max_running_per_lane",))
    return None


def _among_others(facts: Facts) -> Explanation:
    crowd = facts.crowd
    if (capped := _at_a_cap(facts)) is not None:
        return capped
    if crowd.running_in_lane + crowd.offered_in_lane >= facts.slots:
        relax = (*_more_slots(facts), "raise its priority (within its tenant)")
        return Explanation(
            Rule.SLOTS_BUSY, f"Before it: {_jobs(facts.ahead)}. {_busy(facts)}", relax
        )
    return Explanation(Rule.NEXT, "Nothing holds it back: it is about to be offered.")


def _busy(facts: Facts) -> str:
    crowd = facts.crowd
    return f"Busy slots: {crowd.running_in_lane} of {facts.slots}. Offered: {_jobs(crowd.offered_in_lane)}."


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _more_slots(facts: Facts) -> tuple[str, ...]:
    return (f"add a worker, or slots, for lane {facts.job.lane}",)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
