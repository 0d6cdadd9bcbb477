"""The jobs behind one call: kept together, waited for or streamed, and ended with their client.

The connection is what its client holds them by: unless the request says otherwise they are asked to
end at once when it is closed, by who notices. Where this process ends first, their `cancel_after` of
nothing does it: once nobody watches them they end by themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from starlette.types import Receive

from headrace.api.auth import Caller
from headrace.api.bodies import fingerprint
from headrace.api.deps import ApiDeps
from headrace.api.dialects.openai import asking, errors, telling
from headrace.api.dialects.openai.asking import Wanted
from headrace.api.dialects.openai.schemas import CancelledAfter
from headrace.api.gateways.race import gone, race
from headrace.api.gateways.watching import Watching, find, frames, while_good
from headrace.api.payloads import whole
from headrace.api.problems import Problem, Refused
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import START
from headrace.contracts.messages import OUTPUT_BLOB, EngineCard
from headrace.core.errors import HeadraceError, InvalidInput
from headrace.core.inputs import check_input
from headrace.core.job import DISCONNECTED, Job, State
from headrace.core.ports.store import IdempotencyKey
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.pick import pick
from headrace.core.usecases.submit import Submission, Submitted, Taking, submit_together
from headrace.core.usecases.watch import to_nobody

_END_S: Final = 5.0  # to ask jobs to end; then they are left to `cancel_after`
NO_ANSWER: Final = Problem(
    500,
    "no-answer",
    "There is no answer",
    "The job or its answer is gone, or the key was revoked meanwhile.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, in what words, and what becomes of the work if they leave."""

    caller: Caller
    kind: str
    model: str
    on_disconnect: CancelledAfter | Literal["cancel", "continue"]
    path: str
    body: bytes
    key: str | None
    sticky: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """Jobs that were kept, in the order of their answers."""

    call: Call
    jobs: list[Job]
    replayed: bool
    here: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        again = {"Idempotent-Replayed": "true"} if self.replayed else {}
        return {**errors.header_of(self.jobs), **again}


async def card_of(deps: ApiDeps, call: Call) -> EngineCard:
    """Raises UnknownModel."""
    tenant, sticky = call.caller.tenant, call.sticky
    async with deps.store.begin() as tx:
        picked = await pick(tx, await tx.catalog(), tenant, call.kind, call.model, sticky)
    return picked.card


async def begin(deps: ApiDeps, call: Call, card: EngineCard, wanted: Wanted) -> Begun:
    """All of the jobs, or none. Raises Refused, and what `submit` does."""
    tenant = call.caller.tenant
    try:
        submitted = await submit_together(
            deps.store,
            deps.blobs,
            [_submission(deps, call, card, *each) for each in enumerate(wanted.inputs)],
            Taking(
                path=(await deps.steering.current()).path(tenant, call.kind),
                new_id=deps.new_id,
                check=check_input,
                admission=deps.admission,
                shadowed=deps.steering.shadowed,
            ),
        )
    except InvalidInput as error:
        raise errors.in_its_place(error, wanted.here) from error
    return _begun(deps, call, submitted, wanted)


def _begun(deps: ApiDeps, call: Call, submitted: Sequence[Submitted], wanted: Wanted) -> Begun:
    for each in submitted:
        deps.on_submitted(each)
    replayed = all(each.replayed for each in submitted)
    return Begun(call, [each.job for each in submitted], replayed, wanted.here)


def _submission(
    deps: ApiDeps, call: Call, card: EngineCard, nth: int, given: dict[str, Any]
) -> Submission:
    return Submission(
        tenant=call.caller.tenant,
        kind=call.kind,
        model=call.model,
        sticky=call.sticky,
        card=card,
        input=given,
        timeout_s=deps.limits.answer_s,
        cancel_after_s=asking.cancel_after_s(call.on_disconnect),
        idempotency=None if call.key is None else _key(call.key, call, nth),
        api_key=call.caller.api_key,
        trace=deps.current_traceparent() or received_traceparent(),
    )


def _key(key: str, call: Call, nth: int) -> IdempotencyKey:
    """The first job has the caller's key, the others keys that follow from it."""
    said = hashlib.sha256(f"{call.path}\0{nth}\0{fingerprint(call.body)}".encode()).hexdigest()
    own = key if nth == 0 else hashlib.sha256(f"{key}\0{nth}".encode()).hexdigest()
    return IdempotencyKey(own, said)


async def outputs(deps: ApiDeps, receive: Receive, begun: Begun) -> list[telling.Output]:
    """What the jobs made, once all have ended well. Raises Refused.

    They are waited for by their streams, for `answer_s` in all, and not after the client has left.
    """
    ended = await _ended(deps, receive, begun)
    for job in ended:
        if job.state is not State.SUCCEEDED:
            raise Refused(errors.of_job(job, begun.here))
    return [await output_of(deps, job) for job in ended]


async def _ended(deps: ApiDeps, receive: Receive, begun: Begun) -> list[Job]:
    limit_s = deps.limits.answer_s
    left = asyncio.Event()
    in_time = True
    try:
        async with asyncio.timeout(limit_s):
            await race(_until_all_end(deps, begun), _notes(receive, left), deps.stopping.wait())
    except TimeoutError:
        in_time = False
    jobs = [await find(deps, job.tenant, job.id) for job in begun.jobs]
    if all(job.terminal for job in jobs) or _one_failed(jobs):
        return await _without_the_rest(deps, begun, jobs)
    if deps.stopping.is_set():
        raise errors.leaving(jobs)
    await let_go(deps, begun)
    if left.is_set():
        raise errors.left(jobs)
    if in_time:
        raise Refused(NO_ANSWER)
    raise errors.too_long(jobs, limit_s, goes_on=begun.call.on_disconnect != "cancel")


async def _notes(receive: Receive, left: asyncio.Event) -> None:
    await gone(receive)
    left.set()


def _one_failed(jobs: Sequence[Job]) -> bool:
    return any(job.terminal and job.state is not State.SUCCEEDED for job in jobs)


async def _without_the_rest(deps: ApiDeps, begun: Begun, jobs: list[Job]) -> list[Job]:
    """One that failed fails the call, and nobody waits for the others."""
    if not all(job.terminal for job in jobs):
        await let_go(deps, begun)
    return [job for job in jobs if job.terminal]


async def _until_all_end(deps: ApiDeps, begun: Begun) -> None:
    for job in begun.jobs:
        last = ""
        async with aclosing(watching_of(deps, begun.call, job)(to_nobody)) as batches:
            async for batch in batches:
                last = batch[-1].type if batch else last
        if last != "succeeded":
            return


def watching_of(deps: ApiDeps, call: Call, job: Job) -> Watching:
    watching: Watching = partial(frames, deps, job, START)
    digest, over_at = call.caller.digest, call.caller.until
    if digest or over_at is not None:
        return while_good(deps, digest, over_at, watching)
    return watching


async def output_of(deps: ApiDeps, job: Job) -> dict[str, Any]:
    """Of a job that succeeded. Raises Refused."""
    output = await whole(deps.blobs, job.owner, job.output or {}, OUTPUT_BLOB)
    if set(output) == {OUTPUT_BLOB}:
        raise Refused(NO_ANSWER)
    return output


async def let_go(deps: ApiDeps, begun: Begun) -> None:
    """Ask what has not ended to end, unless the request said that it goes on."""
    if begun.call.on_disconnect != "cancel":
        return
    with suppress(HeadraceError, TimeoutError):  # then `cancel_after` does it, a little later
        async with asyncio.timeout(_END_S), deps.store.begin() as tx:
            for job in begun.jobs:
                await wish_to_cancel(tx, job.tenant, job.id, reason=DISCONNECTED)
