"""Publishes in bounded windows and waits for every confirm; says honestly what it does not know."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import aio_pika
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.adapters.bus.rabbitmq.link import Link
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import Parcel, Sent

WINDOW: Final = 200  # publishes waiting for their confirms at a time
LONGEST_NAME: Final = 255  # bytes of a routing key

log = logging.getLogger(__name__)


class Publisher:
    def __init__(self, link: Link, *, timeout_s: float) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, parcels: Sequence[Parcel]) -> list[Sent]:
        outcomes = [Sent.UNKNOWN] * len(parcels)
        channel = None
        try:
            async with asyncio.timeout(self._timeout_s):
                channel = await self._open_channel()
                for start in range(0, len(parcels), WINDOW):
                    await self._publish_window(
                        channel, parcels, outcomes, range(start, min(start + WINDOW, len(parcels)))
                    )
        except (Unavailable, TimeoutError) as why:
            log.warning("bus.send_failed", extra={"why": str(why) or "no confirm in time"})
        if channel is not None and Sent.UNKNOWN in outcomes:
            # Its confirms can no longer be told apart from those of what is sent next.
            await self._throw_away(channel)
        return outcomes

    async def _publish_window(
        self,
        channel: AbstractChannel,
        parcels: Sequence[Parcel],
        outcomes: list[Sent],
        window: range,
    ) -> None:
        async def publish(index: int) -> None:
            outcomes[index] = await _publish_one(channel, parcels[index])

        async with asyncio.TaskGroup() as group:
            for index in window:
                group.create_task(publish(index))

    async def _open_channel(self) -> AbstractChannel:
        async with self._one_at_a_time:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.channel(confirms=True)
            return self._channel

    async def _throw_away(self, channel: AbstractChannel) -> None:
        if self._channel is channel:
            self._channel = None
            await self._link.discard(channel)


async def _publish_one(channel: AbstractChannel, parcel: Parcel) -> Sent:
    if len(parcel.queue.encode()) > LONGEST_NAME:
        return Sent.UNROUTABLE  # no queue can have such a name; the driver would raise
    try:
        with as_unavailable():
            return await _confirmed(channel, parcel)
    except Unavailable:
        return Sent.UNKNOWN


async def _confirmed(channel: AbstractChannel, parcel: Parcel) -> Sent:
    try:
        answer = await channel.default_exchange.publish(
            _message(parcel), routing_key=parcel.queue, mandatory=True
        )
    except PublishError:
        return Sent.UNROUTABLE
    except DeliveryError:
        return Sent.UNKNOWN  # a nack: refused, or lost on the way to a majority
    return Sent.KEPT if isinstance(answer, Basic.Ack) else Sent.UNKNOWN


def _message(parcel: Parcel) -> aio_pika.Message:
    return aio_pika.Message(
        bytes(parcel.body),
        headers=dict(_without_deaths(parcel.headers)),
        delivery_mode=DeliveryMode.PERSISTENT,
        # Fresh each time: with one id twice in flight, the driver takes one's return for the other's.
        message_id=secrets.token_hex(16),
    )


def _without_deaths(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Before 4.0.1 a broker takes these at their word and may drop the message as a cycle."""
    return {name: value for name, value in headers.items() if not name.startswith("x-death")}
