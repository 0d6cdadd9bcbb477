"""The judge: holds the clients', the engines' and the store's ledgers against each other.

It is a pure function of what was written down, so a run can be judged again. The numbers are those
of the rules; a broken rule is a sentence, and no sentence means that the promises held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.testkit.chaos.effects import TERMINAL, AttemptRow, Effects, Row
from headrace.testkit.chaos.ledger import ClientFacts, Execution
from headrace.testkit.chaos.transcripts import flaws_of

TOLD: Final = frozenset({"succeeded", "failed", "cancelled", "released"})  # by its worker
HERD_FROM: Final = 6  # so many retries can be told from a herd


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the faults of a run excuse."""

    losses: int = 0  # faults that may cost each job one more execution
    dead_letters: int = 0
    cancel_s: float = 10.0  # from a confirmed wish to the end
    retry_cap_s: float = 600.0
    usage_s: float = 0.5  # what is measured in two processes may differ by


@dataclass(frozen=True, slots=True)
class Evidence:
    clients: ClientFacts
    executions: Sequence[Execution]
    effects: Effects
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Judgement:
    broken: list[str]
    counts: dict[str, int]


def judge(evidence: Evidence) -> Judgement:
    return Judgement(
        [sentence for rule in RULES for sentence in rule(evidence)], counts_of(evidence)
    )


def counts_of(evidence: Evidence) -> dict[str, int]:
    clients, effects = evidence.clients, evidence.effects
    states = Counter(row.state for row in effects.jobs)
    runs = Counter(execution.key for execution in evidence.executions)
    return {
        "asked": len(clients.intents),
        "accepted": len(clients.accepted),
        "recovered": len(clients.unknown & clients.accepted.keys()),
        "ended": sum(states[state] for state in TERMINAL),
        **{state: states[state] for state in sorted(TERMINAL)},
        "executions": len(evidence.executions),
        "run again": sum(count - 1 for count in runs.values()),
        "transcripts": len(clients.transcripts),
        "resumes": sum(transcript.resumes for transcript in clients.transcripts),
        "resets": sum(told.type == "reset" for t in clients.transcripts for told in t.frames),
        "frames": sum(len(transcript.frames) for transcript in clients.transcripts),
    }


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """Rule 1: whatever was accepted has an end, in the store and for the client."""
    rows = {row.id: row for row in evidence.effects.jobs}
    for key, ids in evidence.clients.accepted.items():
        for job in ids:
            row = rows.get(job)
            if row is None:
                yield f"1 lost: {key} was accepted as {job}, which the store does not have"
            elif row.state not in TERMINAL:
                yield f"1 lost: {key} ({job}) was accepted and is still {row.state}"


def nothing_is_unexpected(evidence: Evidence) -> Iterator[str]:
    """Rule 2: nothing ran and nothing is kept that nobody asked for."""
    asked = evidence.clients.intents
    found = {row.key for row in evidence.effects.jobs} | {run.key for run in evidence.executions}
    for key in sorted(found - asked):
        yield f"2 unexpected: nobody asked for {key!r}"


def the_unknown_is_resolved(evidence: Evidence) -> Iterator[str]:
    """Rule 3: asked again by its key, everything without an answer turned out to be there."""
    clients = evidence.clients
    for key in sorted(clients.intents - clients.accepted.keys() - clients.rejected.keys()):
        yield f"3 unresolved: {key} never got an answer"


def one_job_a_key(evidence: Evidence) -> Iterator[str]:
    """Rule 4."""
    jobs = Counter(row.key for row in evidence.effects.jobs)
    for key, count in jobs.items():
        if count > 1:
            yield f"4 duplicate: {count} jobs were made for key {key}"
    for key, ids in evidence.clients.accepted.items():
        if len(ids) > 1:
            yield f"4 duplicate: key {key} was answered with {len(ids)} jobs"


def one_effect(evidence: Evidence) -> Iterator[str]:
    """Rule 5: a success has one winning attempt, whose output it is; nothing else has one."""
    outcomes: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    for each in evidence.effects.attempts:
        outcomes[each.job].append((each.attempt, each.outcome))
    for row in evidence.effects.jobs:
        won = [number for number, outcome in outcomes[row.id] if outcome == "succeeded"]
        if row.state != "succeeded" and (won or row.output is not None):
            yield f"5 effect: {row.key} is {row.state} and has a result of attempt {won}"
        if row.state == "succeeded":
            yield from _is_of_its_winner(row, won, evidence.effects.result(row))


def _is_of_its_winner(row: Row, won: list[int], result: Mapping[str, Any]) -> Iterator[str]:
    made_by = result.get("attempt")
    if won != [row.attempt] or made_by != row.attempt:
        yield (
            f"5 effect: {row.key} succeeded in attempt {row.attempt}, but attempts {won} won"
            f" and its result is of attempt {made_by}"
        )


def no_needless_execution(evidence: Evidence) -> Iterator[str]:
    """Rule 6: a grant runs once, and a job again only after a failure, its own crash or an injected loss."""
    twice = Counter((run.key, run.attempt) for run in evidence.executions)
    for (key, attempt), count in twice.items():
        if count > 1:
            yield f"6 executions: attempt {attempt} of {key} ran {count} times"
    crashes = Counter(run.key for run in evidence.executions if run.how == "crash")
    excused = {
        row.key: 1 + row.failures + crashes[row.key] + evidence.bounds.losses
        for row in evidence.effects.jobs
    }
    for key, count in Counter(run.key for run in evidence.executions).items():
        if count > excused.get(key, 0):
            yield f"6 executions: {key} ran {count} times; {excused.get(key, 0)} are explained"


def all_is_quiet(evidence: Evidence) -> Iterator[str]:
    """Rule 7: in the end nothing is on its way, and what was accepted is what ended."""
    effects = evidence.effects
    accepted = sum(len(ids) for ids in evidence.clients.accepted.values())
    ended = sum(row.state in TERMINAL for row in effects.jobs)
    if accepted != ended:
        yield f"7 sum: {accepted} jobs were accepted, and {ended} have ended"
    if effects.outbox:
        yield f"7 quiet: {effects.outbox} jobs still wait to be offered"
    for row in effects.jobs:
        if row.held:
            yield f"7 quiet: {row.key} ({row.state}) still has a lease"
    for each in effects.attempts:
        if each.outcome is None:
            yield f"7 quiet: attempt {each.attempt} of {each.job} was never closed"
    yield from _messages_left(evidence)


def _messages_left(evidence: Evidence) -> Iterator[str]:
    for queue, messages in evidence.effects.queues.items():
        if messages:
            yield f"7 quiet: {messages} messages in {queue}"
    dead, expected = evidence.effects.dead_letters, evidence.bounds.dead_letters
    if dead != expected:
        yield f"7 quiet: {dead} dead letters, {expected} expected"


def what_is_dead_is_accounted_for(evidence: Evidence) -> Iterator[str]:
    """Rule 7: one dead letter for each dead job, and none for another.

    The queue of dead messages is emptied into rows: in the end it is empty like every queue, and
    the rows of messages are as many as were made (`Bounds.dead_letters`).
    """
    letters = Counter(evidence.effects.dead_jobs)
    dead = {row.id for row in evidence.effects.jobs if row.state == "dead"}
    for job in sorted(dead | letters.keys()):
        if letters[job] != (job in dead):
            yield f"7 dead: {job} has {letters[job]} dead letters, and is{'' if job in dead else ' not'} dead"


def usage_is_what_ran(evidence: Evidence) -> Iterator[str]:
    """Rule 9: what an attempt is said to have run is what its engine wrote down.

    There is no record of usage but the attempts of `/timeline`. An attempt that was lost says nothing
    of its work, and nobody is charged for it. The engine's time lies within its worker's, which lies
    within the store's: so a machine that sleeps in between breaks nothing.
    """
    ran = _seconds_of(evidence.executions)
    keys = {row.id: row.key for row in evidence.effects.jobs}
    for each in evidence.effects.attempts:
        run = (keys.get(each.job, ""), each.attempt)
        if each.outcome == "succeeded" and run not in ran:
            yield f"9 usage: attempt {each.attempt} of {run[0]} succeeded, and no engine ran it to its end"
        if each.outcome in TOLD and run in ran:
            yield from _usage_flaws(each, ran[run], evidence.bounds.usage_s)


def _seconds_of(executions: Sequence[Execution]) -> dict[tuple[str, int], float]:
    return {
        (run.key, run.attempt): run.ended - run.started
        for run in executions
        if run.ended is not None
    }


def _usage_flaws(attempt: AttemptRow, ran_s: float, tolerance_s: float) -> Iterator[str]:
    said = f"attempt {attempt.attempt} of {attempt.job} is said to have run {attempt.run_s:.2f} s"
    if attempt.run_s < ran_s - tolerance_s:
        yield f"9 usage: {said}, and its engine ran {ran_s:.2f} s"
    if attempt.held_s is not None and attempt.run_s > attempt.held_s + tolerance_s:
        yield f"9 usage: {said}, and was held {attempt.held_s:.2f} s"


def streams_are_whole(evidence: Evidence) -> Iterator[str]:
    """Rule 8: no frame twice, none missing unsaid, no word of another attempt, and the end is true."""
    rows = {row.id: row for row in evidence.effects.jobs}
    for transcript in evidence.clients.transcripts:
        for flaw in flaws_of(transcript, rows.get(transcript.job), evidence.effects):
            yield f"8 stream of {transcript.job}: {flaw}"


def one_outcome(evidence: Evidence) -> Iterator[str]:
    """An end never changes, whoever saw it (promise 4)."""
    states = {row.id: row.state for row in evidence.effects.jobs}
    for job, seen in evidence.clients.ends.items():
        if seen != {states.get(job)}:
            yield f"4 outcome: {job} was seen as {sorted(seen)} and is {states.get(job)}"


def refusals_are_honest(evidence: Evidence) -> Iterator[str]:
    """Promise 13: what cannot be done for the moment is refused, with the time to ask again."""
    for key, excuses in evidence.clients.excuses.items():
        for excuse in excuses:
            if excuse.code not in {429, 503}:
                yield f"13 refusal: {key} was answered with {excuse.code}"
            elif not excuse.retry_after:
                yield f"13 refusal: {key} was answered with {excuse.code} without Retry-After"


def nothing_is_told_early(evidence: Evidence) -> Iterator[str]:
    """Rule 10: whoever hears of an end and asks the store finds it there."""
    for transcript in evidence.clients.transcripts:
        if transcript.early is not None:
            yield f"10 early: the end of {transcript.job} was told while it was {transcript.early}"


def a_cancel_is_honoured(evidence: Evidence) -> Iterator[str]:
    """Promise 7: confirmed, a wish ends the job within its bound."""
    for row in evidence.effects.jobs:
        if row.cancel_asked_at is None or row.finished_at is None:
            continue
        took_s = row.finished_at - row.cancel_asked_at
        if took_s > evidence.bounds.cancel_s:
            yield f"7 cancel: {row.key} ended {took_s:.1f} s after it was asked to"
    kept = {row.id for row in evidence.effects.jobs if row.cancel_asked_at is not None}
    over = {row.id for row in evidence.effects.jobs if row.state in TERMINAL - {"cancelled"}}
    for job in sorted(evidence.clients.cancels.keys() - kept - over):
        yield f"7 cancel: the wish for {job} was confirmed and is not kept"


def retries_are_spread(evidence: Evidence) -> Iterator[str]:
    """Retries come under the cap, and not as a herd."""
    delays = [
        frame.body["retry_in_s"]
        for transcript in evidence.clients.transcripts
        for frame in transcript.frames
        if frame.type == "attempt" and frame.body.get("retry_in_s") is not None
    ]
    if any(delay > evidence.bounds.retry_cap_s for delay in delays):
        yield f"retries: a delay of {max(delays):g} s is over {evidence.bounds.retry_cap_s:g} s"
    if len(delays) >= HERD_FROM and len(set(delays)) <= len(delays) // 2:
        yield f"retries: {len(delays)} of them share {len(set(delays))} delays"


RULES: Final = (
    nothing_is_lost,
    nothing_is_unexpected,
    the_unknown_is_resolved,
    one_job_a_key,
    one_effect,
    no_needless_execution,
    all_is_quiet,
    what_is_dead_is_accounted_for,
    usage_is_what_ran,
    streams_are_whole,
    one_outcome,
    refusals_are_honest,
    nothing_is_told_early,
    a_cancel_is_honoured,
    retries_are_spread,
)
