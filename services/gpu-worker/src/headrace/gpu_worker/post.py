"""The worker's mailbox: opens what comes and hands it to whoever waits for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

import msgspec

from headrace.contracts.ids import ClaimId
from headrace.contracts.messages import Grant, Grants, Offer, Orders, Refusal, decode
from headrace.core.ports.bus import Delivery
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about, span

Answer: TypeAlias = Grant | Refusal
_ABANDONED_KEPT: Final = 1024
_log = get_logger("gpu_worker.post")


def _for_nobody(_: Offer, __: Mapping[str, str]) -> None:
    """Whoever takes part in no gang is not called, or by mistake."""


class Post:
    """`obey` takes orders; `give_back` takes a grant for a claim that nobody waits for any more.

    `called` takes an offer that did not come by its lane's queue, with its headers: others are called too.
    """

    def __init__(
        self,
        *,
        obey: Callable[[Orders], None],
        give_back: Callable[[Grant], Awaitable[None]],
        called: Callable[[Offer, Mapping[str, str]], None] = _for_nobody,
    ) -> None:
        self._obey = obey
        self._called = called
        self._give_back = give_back
        self._expected: dict[ClaimId, asyncio.Future[Answer]] = {}
        self._abandoned: OrderedDict[ClaimId, None] = OrderedDict()

    @contextmanager
    def expecting(self, claim: ClaimId) -> Iterator[asyncio.Future[Answer]]:
        """The answer to a claim. Leaving without one abandons it: a late grant is given back."""
        answer = self._expected[claim] = asyncio.get_running_loop().create_future()
        try:
            yield answer
        finally:
            del self._expected[claim]
            if not answer.done():
                self._abandon(claim)

    async def open_all(self, letters: AsyncIterator[Delivery]) -> None:
        """Runs until it is cancelled."""
        async for letter in letters:
            await self._open(letter)
            await letter.ack()

    async def _open(self, letter: Delivery) -> None:
        """What does not belong here is parked, so that somebody hears of it."""
        try:
            message = decode(letter.body)
        except msgspec.DecodeError as error:
            _log.warning("mailbox.unreadable", error=str(error))
            await letter.bury(f"no message that this build can read: {error}")
            return
        match message:
            case Grants():
                for answer in message.answers:
                    await self._hand_over(answer)
            case Orders():
                self._obey(message)
            case Offer():
                self._called(message, letter.headers)
            case _:
                _log.warning("mailbox.unexpected", kind=type(message).__name__)
                await letter.bury(f"{type(message).__name__} does not belong in a mailbox")

    async def _hand_over(self, answer: Answer) -> None:
        waiting = self._expected.get(answer.claim)
        if waiting is not None:
            if not waiting.done():  # a claim that was sent twice may be answered twice
                waiting.set_result(answer)
        elif answer.claim in self._abandoned and isinstance(answer, Grant):
            del self._abandoned[answer.claim]
            with span("claim.late", parent=answer.trace), about(**_ids(answer)):
                _log.info("claim.late")
                await self._give_back(answer)

    def _abandon(self, claim: ClaimId) -> None:
        self._abandoned[claim] = None
        if len(self._abandoned) > _ABANDONED_KEPT:
            self._abandoned.popitem(last=False)


def _ids(grant: Grant) -> dict[str, str]:
    return {"job_id": grant.job, "tenant": grant.tenant}
