"""What a replay would do, without doing it; and a dead job's replay with an input that was mended.

The dead job stays as it was. The new one has the mended input, checked against its engine's schema as any
input is; the audit names the fields that were changed, never what is in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec

from headrace.contracts.ids import BlobId, Lane
from headrace.contracts.messages import INPUT_BLOB, MAX_INLINE_BYTES, EngineCard
from headrace.core.errors import BlobNotFound, InvalidInput, UnknownModel
from headrace.core.gang import Gang, gang_of
from headrace.core.job import Job
from headrace.core.ports.blobs import Blob, Blobs
from headrace.core.ports.dead_letters import (
    Deed,
    LetterQuery,
    Parked,
    Settled,
    Settlement,
    Source,
)
from headrace.core.ports.store import Store, Transaction
from headrace.core.rollout import Choose
from headrace.core.usecases import settle
from headrace.core.usecases.pick import engine_of
from headrace.core.usecases.retry import retry_with
from headrace.core.usecases.submit import Check, named_blobs

_NAMED: Final = 20  # fields that the audit names


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What would become of one dead letter."""

    number: int
    would: Literal["run", "send", "nothing"]
    to: str  # the lane or queue
    fits: bool | None = None  # its input into its engine's schema; None: that was not looked at
    why: str | None = None  # it would do nothing, not fit, or wait
    pointer: str | None = None  # to the part of its input that does not fit


@dataclass(frozen=True, slots=True)
class _Facts:
    parked: Parked
    job: Job | None
    card: EngineCard | None
    paused: bool


async def rehearse_all(
    store: Store, query: LetterQuery, check: Check
) -> tuple[list[Rehearsal], bool]:
    """Of those that one request would replay; and whether the filter finds more."""
    async with store.begin() as tx:
        found, more = await settle.matching(tx, query)
        facts = await _facts(tx, found)
    return await asyncio.to_thread(_judged, facts, check), more


async def rehearse(
    store: Store, blobs: Blobs, number: int, given: Mapping[str, Any] | None, check: Check
) -> Rehearsal:
    """Of one, with another input if one is given.

    Raises LetterNotFound, LetterSettled, and InvalidInput where no input can be another.
    """
    async with store.begin() as tx:
        parked = await settle.open_letter(tx, number)
        (facts,) = await _facts(tx, [parked])
        if given is not None:
            await _job_of(tx, parked)
    if facts.job is not None and given is None:
        given = await _input_of(facts.job, blobs)
    return await asyncio.to_thread(_judge, facts, check, given)


@dataclass(frozen=True, slots=True)
class Mended:
    """An input that was checked, as it will be kept."""

    input: dict[str, Any]
    blobs: Sequence[BlobId]  # that it names
    hint: Mapping[str, Any]  # what was changed, for the audit
    gang: Gang


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """What making a job takes."""

    new_id: Callable[[], str]
    trace: str | None = None
    choose: Choose | None = None  # where it runs; None: where the dead one did


async def mend(
    store: Store, blobs: Blobs, number: int, given: dict[str, Any], check: Check
) -> Mended:
    """Raises LetterNotFound, LetterSettled, UnknownModel, InvalidInput."""
    async with store.begin() as tx:
        job = await _job_of(tx, await settle.open_letter(tx, number))
        card = engine_of(await tx.catalog(), job)
    named = named_blobs(given)
    await asyncio.to_thread(check, card, given)
    hint = changes(await _input_of(job, blobs), given)
    encoded = msgspec.json.encode(given)
    if len(encoded) > MAX_INLINE_BYTES:
        blob = await blobs.put(job.tenant, Blob("application/json", encoded))
        return Mended({INPUT_BLOB: blob}, [*named, blob], hint, gang_of(card, given))
    return Mended(given, named, hint, gang_of(card, given))


async def replay_mended(
    tx: Transaction,
    number: int,
    mended: Mended,
    *,
    who: str,
    makers: Makers,
) -> Parked:
    """At once, as a new job. Raises LetterNotFound, LetterSettled, InvalidInput."""
    job = await _job_of(tx, await settle.open_letter(tx, number))
    made = await retry_with(
        tx,
        job,
        given=mended.input,
        gang=mended.gang,
        blobs=mended.blobs,
        new_id=makers.new_id,
        trace=makers.trace,
        choose=makers.choose,
    )
    await tx.settle_letters([Settlement(number, Settled.REPLAYED, who, made.id)])
    await tx.audit([Deed(who, "dead-letter.replay", str(number), {"job": made.id, **mended.hint})])
    return await settle.find_letter(tx, number)


async def _facts(tx: Transaction, found: Sequence[Parked]) -> list[_Facts]:
    jobs = await tx.load([each.letter.job for each in found if each.letter.job is not None])
    catalog, paused = await tx.catalog(), await tx.paused()
    facts: list[_Facts] = []
    for parked in found:
        job = None if parked.letter.job is None else jobs.get(parked.letter.job)
        card = None if job is None else _card(catalog, job)
        facts.append(_Facts(parked, job, card, job is not None and Lane(job.lane) in paused))
    return facts


def _card(catalog: list[EngineCard], job: Job) -> EngineCard | None:
    try:
        return engine_of(catalog, job)
    except UnknownModel:
        return None


def _judged(facts: Sequence[_Facts], check: Check) -> list[Rehearsal]:
    return [_judge(each, check, _inline(each.job)) for each in facts]


def _judge(facts: _Facts, check: Check, given: Mapping[str, Any] | None) -> Rehearsal:
    parked, job = facts.parked, facts.job
    if parked.letter.source is Source.MESSAGE:
        return _message(parked)
    if job is None:
        return _of(parked, "nothing", why="the job itself has been deleted")
    if facts.card is None:
        why = (
            f"no engine runs model {job.spec.model!r} of kind {job.spec.kind!r} now: it would wait"
        )
        return _of(parked, "run", why=why)
    if given is None:
        return _of(parked, "run", why="its input is kept apart, and was not looked at")
    try:
        check(facts.card, given)
    except InvalidInput as error:
        why = f"its input does not fit: {error}"
        return replace(_of(parked, "run", fits=False, why=why), pointer=error.pointer)
    waits = f"lane {job.lane} is paused: it would wait" if facts.paused else None
    return _of(parked, "run", fits=True, why=waits)


def _message(parked: Parked) -> Rehearsal:
    if not parked.letter.whole:
        return _of(parked, "nothing", why="only its beginning was kept")
    return _of(parked, "send")


def _of(
    parked: Parked,
    would: Literal["run", "send", "nothing"],
    *,
    fits: bool | None = None,
    why: str | None = None,
) -> Rehearsal:
    return Rehearsal(number=parked.number, would=would, to=parked.letter.queue, fits=fits, why=why)


async def _job_of(tx: Transaction, parked: Parked) -> Job:
    if parked.letter.source is Source.MESSAGE or parked.letter.job is None:
        raise InvalidInput("", "a message has no input that could be changed")
    job = (await tx.load([parked.letter.job])).get(parked.letter.job)
    if job is None:
        raise InvalidInput("", "the job itself has been deleted")
    return job


def _inline(job: Job | None) -> Mapping[str, Any] | None:
    return None if job is None or INPUT_BLOB in job.spec.input else job.spec.input


async def _input_of(job: Job, blobs: Blobs) -> Mapping[str, Any] | None:
    """None: it was kept apart, and is gone."""
    if INPUT_BLOB not in job.spec.input:
        return job.spec.input
    try:
        blob = await blobs.get(job.tenant, BlobId(job.spec.input[INPUT_BLOB]))
    except BlobNotFound:
        return None
    found: dict[str, Any] = await asyncio.to_thread(msgspec.json.decode, blob.data)
    return found


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the fields that differ."""
    if before is None:
        return {"changed": sorted(after)[:_NAMED]}
    changed = sorted(name for name in after if name not in before or before[name] != after[name])
    removed = sorted(before.keys() - after.keys())
    told = {"changed": changed[:_NAMED], "removed": removed[:_NAMED]}
    return {name: names for name, names in told.items() if names}
