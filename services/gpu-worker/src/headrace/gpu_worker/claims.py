"""Claiming: asking the dispatcher for the right to run what was offered.

A claim has one id however often it is sent, so the dispatcher answers each copy with the same grant
and a lost question or answer costs a resend, never a second execution.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from headrace.contracts.ids import ClaimId
from headrace.contracts.messages import Claim, Claims, Offer, encode
from headrace.core.ports.bus import Parcel
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.post import Answer, Post
from headrace.gpu_worker.waiting import pauses
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.claims")


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Answer
    sent_at: (
        float  # when the last copy left; the lease counts from there until a heartbeat says better
    )
    copies: int


async def claim(  # noqa: PLR0913  # what is asked, by what and until when, each by its name
    offer: Offer,
    *,
    trace: str | None,
    warm: list[str],
    post: Post,
    options: WorkerOptions,
    stop: asyncio.Event,
    at: str | None = None,
) -> Answered | None:
    """The dispatcher's answer, or None: it stayed silent for as long as we wait, or we stop.

    When the worker stops, the copy that is out is still waited for: a grant nobody hears of would
    cost the job a loss. `at`: a gang's, which has no answer until all have come, and counts who says again
    that it waits.
    """
    limits = options.limits
    asked = Claim(
        id=ClaimId(options.new_id()),
        job=offer.job,
        epoch=offer.epoch,
        trace=trace,
        warm=warm,
        at=at,
    )
    body = encode(Claims(worker=options.worker, reply_to=options.mailbox, claims=[asked]))
    parcel = Parcel(options.topology.claims, body)
    cap_s = limits.claim_answer_s * (10 if at is None else 1)
    waits = pauses(options.random, first_s=limits.claim_answer_s, cap_s=cap_s)
    patience_s = limits.claim_patience_s if at is None else limits.gather_s
    patience_ends = options.monotonic() + patience_s
    with post.expecting(asked.id) as answer:
        for copies, wait_s in enumerate(waits, start=1):
            sent_at = options.monotonic()
            await options.bus.send([parcel])  # not kept is like not answered: it is sent again
            await asyncio.wait({answer}, timeout=wait_s)
            if answer.done():
                return Answered(answer.result(), sent_at, copies)
            if stop.is_set() or options.monotonic() > patience_ends:
                break
    _log.warning("claim.unanswered", copies=copies)
    return None
