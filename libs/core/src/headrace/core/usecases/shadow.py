"""Shadows: a job runs on the other path too, unseen; when both have ended they are compared.

Laws:
1. A shadow is made in the transaction of its job, or not at all. It is a job of the tenant `SHADOWS`:
   so nobody lists it, watches it or is told of it, it counts for no cap of its job's tenant, and all
   shadows together are one tenant among those that take turns. It does count in MAX_QUEUED.
2. It repeats what was asked (kind, model, input, priority, timeout, planned start) and nothing around
   it: no idempotency key, conversation, labels, deadline, watchers, schedule, and no dead letter.
3. What it comes to changes nothing about its job.
4. Two runs are the same when state, kind of error and output are. Blobs are compared by their bytes,
   times are told and not judged. Of an engine that is not deterministic, that is asked without a seed
   or above temperature 0, outputs differ, and only states and errors say something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.contracts.messages import OUTPUT_BLOB
from headrace.contracts.producing import OUTSIDE
from headrace.core.blob_names import kept_for
from headrace.core.errors import BlobNotFound, Unavailable
from headrace.core.job import SHADOWS, Job, Spec, State
from headrace.core.ports.blobs import BlobRef, Blobs
from headrace.core.ports.rollouts import Comparison, Pair
from headrace.core.ports.store import NewJob, Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import other
from headrace.core.usecases.pick import weights_of

IN_VAIN_AFTER: Final = timedelta(minutes=15)  # since its job has ended
MOST_DIFFERENCES: Final = 10  # that are told
MOST_BLOBS: Final = 16  # of one output, read to be compared
_LONGEST_VALUE: Final = 80


async def make_shadow(tx: Transaction, job: Job, shadow: JobId) -> Job | None:
    """None: what is produced outside runs on no path."""
    if job.lane == OUTSIDE:
        return None
    copy = Job(
        id=shadow,
        tenant=SHADOWS,
        shadow_of=job.id,
        shadow_tenant=job.tenant,
        spec=_asked(job.spec),
        lane=job.lane,
        artefact=job.artefact,
        path=other(job.path),
        state=job.state,
        not_before=job.not_before,
        trace=job.trace,
    )
    await tx.insert([NewJob(copy)])
    inputs = [BlobUse(job.tenant, blob, shadow) for blob in kept_for(job.spec.input)]
    await tx.use_blobs(inputs + weights_of(copy))
    return copy


def _asked(spec: Spec) -> Spec:
    return replace(
        spec,
        start_deadline=None,
        labels={},
        cancel_after_s=None,
        conversation=None,
        webhook=None,
        register_as=None,
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """`gone` have left the store, with what nobody names any more."""

    compared: list[Comparison]
    gone: list[JobId]
    orphans: list[BlobRef]
    given_up: list[JobId]
    full: bool


async def settle_shadows(store: Store, blobs: Blobs, *, limit: int) -> Settled:
    """Compare what is over and discard it; give up what waits in vain.

    Blobs are read between two transactions. A second dispatcher may compare the same pair meanwhile:
    who discards the shadow notes the comparison.
    """
    async with store.begin() as tx:
        waiting_since = await tx.now() - IN_VAIN_AFTER
        given_up = await tx.give_up_shadows(waiting_since=waiting_since, limit=limit)
        pairs = await tx.shadows_over(limit=limit)
    found = [(pair, await _compared(blobs, pair)) for pair in pairs]
    async with store.begin() as tx:
        there = await tx.load([pair.shadow.id for pair in pairs])
        mine = [(pair, each) for pair, each in found if pair.shadow.id in there]
        compared = [each for _, each in mine if each is not None]
        await tx.note_comparisons(compared)
        orphans = await tx.discard_shadows([pair.shadow.id for pair, _ in mine])
    gone = [pair.shadow.id for pair, _ in mine]
    return Settled(compared, gone, orphans, given_up, full=len(pairs) >= limit)


async def _compared(blobs: Blobs, pair: Pair) -> Comparison | None:
    """None: one of them was called off, which says nothing."""
    job, shadow = pair.original, pair.shadow
    if job is None or State.CANCELLED in {job.state, shadow.state}:
        return None
    outputs = [await _by_content(blobs, each) for each in (job, shadow)]
    diff = differences(job, shadow, outputs[0], outputs[1])
    return Comparison(
        job=job.id,
        shadow=shadow.id,
        tenant=job.tenant,
        kind=job.spec.kind,
        path=shadow.path,
        same=not diff,
        diff={**diff, "wait_s": _both(_wait_s, job, shadow), "run_s": _both(_run_s, job, shadow)},
    )


def differences(job: Job, shadow: Job, was: Any, is_: Any) -> dict[str, Any]:
    """By what differs, first the job's and then the shadow's."""
    found: dict[str, Any] = {}
    if job.state is not shadow.state:
        found["state"] = [job.state, shadow.state]
    errors = [(each.error or {}).get("kind") for each in (job, shadow)]
    if errors[0] != errors[1]:
        found["error"] = errors
    outputs = list(_differing(was, is_, ""))
    if outputs and job.state is shadow.state is State.SUCCEEDED:
        found["output"] = outputs[:MOST_DIFFERENCES]
        if len(outputs) > MOST_DIFFERENCES:
            found["more"] = len(outputs) - MOST_DIFFERENCES
    return found


def _differing(was: Any, is_: Any, at: str) -> Iterator[str]:
    match was, is_:
        case dict(), dict():
            for key in sorted(was.keys() | is_.keys()):
                yield from _differing(was.get(key), is_.get(key), f"{at}/{key}")
        case list(), list() if len(was) == len(is_):
            for place, (one, two) in enumerate(zip(was, is_, strict=True)):
                yield from _differing(one, two, f"{at}/{place}")
        case str(), str() if was != is_:
            yield f"{at or '/'}: {_text_difference(was, is_)}"
        case _ if was != is_:
            yield f"{at or '/'}: {_short(was)}, and {_short(is_)}"


def _text_difference(was: str, is_: str) -> str:
    same = next((n for n, (a, b) in enumerate(zip(was, is_, strict=False)) if a != b), None)
    where = min(len(was), len(is_)) if same is None else same
    said = f"differs from character {where} on: {_short(was[where:])}, and {_short(is_[where:])}"
    return said if len(was) == len(is_) else f"{said} ({len(was)} and {len(is_)} characters)"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


async def _by_content(blobs: Blobs, job: Job) -> Any:
    """The output with a digest in the place of each blob's name; one too large for a row, itself."""
    output = job.output
    if (
        output is not None
        and len(output) == 1
        and isinstance(whole := output.get(OUTPUT_BLOB), str)
    ):
        output = await _whole(blobs, job.owner, whole)
    named = kept_for(output if isinstance(output, dict) else None)[:MOST_BLOBS]
    digests = {blob: await _digest(blobs, job.owner, blob) for blob in named}
    return _renamed(output, digests)


async def _whole(blobs: Blobs, owner: TenantId, blob: str) -> Any:
    try:
        return msgspec.json.decode((await blobs.get(owner, BlobId(blob))).data)
    except (BlobNotFound, Unavailable, msgspec.DecodeError):
        return {"blob": blob}


async def _digest(blobs: Blobs, owner: TenantId, blob: BlobId) -> str:
    try:
        data = (await blobs.get(owner, blob)).data
    except (BlobNotFound, Unavailable):
        return f"{blob}, which could not be read"
    return f"sha256:{sha256(data).hexdigest()[:16]}, {len(data)} bytes"


def _renamed(value: Any, names: Mapping[BlobId, str]) -> Any:
    match value:
        case {"blob": str(blob), **rest} if not rest:
            return {"blob": names.get(BlobId(blob), blob)}
        case dict():
            return {key: _renamed(each, names) for key, each in value.items()}
        case list():
            return [_renamed(each, names) for each in value]
        case _:
            return value


def _both(of: Callable[[Job], float | None], job: Job, shadow: Job) -> list[float | None]:
    return [of(job), of(shadow)]


def _wait_s(job: Job) -> float | None:
    return _between(job.created_at, job.started_at)


def _run_s(job: Job) -> float | None:
    return _between(job.started_at, job.finished_at)


def _between(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 3)
