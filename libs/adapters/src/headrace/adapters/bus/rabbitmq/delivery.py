"""A message from the broker in our hands, and how it is settled, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from aio_pika.abc import AbstractIncomingMessage
from typing_extensions import override

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.adapters.bus.rabbitmq.link import ANSWER_WITHIN_S
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import (
    MESSAGE_HEADER,
    ORIGIN_HEADER,
    REASON_HEADER,
    Delivery,
    Sent,
)

LONGEST_REASON: Final = 2_000

# The broker's own words for the two things that we tell about a dead letter.
BROKERS_REASON: Final = "x-first-death-reason"
BROKERS_ORIGIN: Final = "x-first-death-queue"
BROKERS_HEADERS: Final = ("x-death", "x-first-death-", "x-last-death-")

log = logging.getLogger(__name__)

Settle = Callable[[AbstractIncomingMessage], bool]  # True for the first, while its channel lives
Park = Callable[[bytes, Mapping[str, str]], Awaitable[Sent]]


class RabbitDelivery(Delivery):
    def __init__(
        self, message: AbstractIncomingMessage, *, origin: str, settle: Settle, park: Park
    ) -> None:
        self._message = message
        self._origin = origin
        self._settle = settle
        self._park = park
        self._headers = MappingProxyType(_headers_of(message))

    @property
    @override
    def body(self) -> bytes:
        return self._message.body

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    @override
    def redelivered(self) -> bool:
        return bool(self._message.redelivered)

    @override
    async def ack(self) -> None:
        if self._settle(self._message):
            await _tell(self._message.ack())

    @override
    async def requeue(self) -> None:
        if self._settle(self._message):
            await _tell(self._message.nack(requeue=True))

    @override
    async def bury(self, reason: str) -> None:
        """Parked by ourselves, since a broker's dead letter cannot carry our reason."""
        if not self._settle(self._message):
            return
        note = {
            ORIGIN_HEADER: self._origin,
            REASON_HEADER: reason[:LONGEST_REASON],
            MESSAGE_HEADER: self._message.message_id or "",
        }
        if await self._park(self.body, {**self._headers, **note}) is Sent.KEPT:
            await _tell(self._message.ack())
        else:
            await _tell(
                self._message.reject(requeue=False)
            )  # the broker parks it, without a reason


async def _tell(settling: Awaitable[None]) -> None:
    try:
        with as_unavailable():
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await settling
    except Unavailable as lost:
        log.debug("bus.settle_failed", extra={"why": str(lost)})  # it comes back by itself


def _headers_of(message: AbstractIncomingMessage) -> dict[str, str]:
    texts = {name: value for name, value in message.headers.items() if isinstance(value, str)}
    headers = {k: v for k, v in texts.items() if not k.startswith(BROKERS_HEADERS)}
    if BROKERS_REASON in texts and REASON_HEADER not in headers:
        headers[REASON_HEADER] = texts[BROKERS_REASON]
        headers[ORIGIN_HEADER] = texts.get(BROKERS_ORIGIN, "")
        headers[MESSAGE_HEADER] = message.message_id or ""
    return headers
