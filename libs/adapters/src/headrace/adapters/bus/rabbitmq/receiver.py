"""An endless iterator of deliveries: whatever ends its consumer, the next call starts another."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from headrace.adapters.bus.rabbitmq.delivery import Park, RabbitDelivery
from headrace.adapters.bus.rabbitmq.link import Link
from headrace.adapters.bus.rabbitmq.session import OpenQueue, Session
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import Depth

RETRY_S: Final = 0.25  # doubled from failure to failure, up to the cap
RETRY_CAP_S: Final = 4.0
RENEW_AFTER: Final = 6  # silences in a row: a new consumer costs little, and a ghost is never told

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A queue, and what a receiver needs to know and to do about it."""

    name: str
    prefetch: int
    open: OpenQueue  # get or declare it on a channel
    restore: Callable[[], Awaitable[None]]  # it is gone: make it anew, if it is ours to make
    depth: Callable[[], Awaitable[Depth]]
    park: Park
    delete_at_end: bool = False


class Receiver(AsyncIterator[RabbitDelivery]):
    """With a prefetch of one, nothing is taken from the queue before it is asked for.

    For that the consumer is cancelled as soon as it has brought its message: otherwise the broker
    would send the next one at the acknowledgement, only to get it back, one delivery older, from a
    receiver that leaves.
    """

    def __init__(self, link: Link, source: Source, *, watch_s: float) -> None:
        """`watch_s`: after so much silence, see whether it is only silence."""
        self._link = link
        self._source = source
        self._watch_s = watch_s
        self._session: Session | None = None
        self._closed = False
        self._failures = 0
        self._starved = 0
        self._silences = 0
        self._alive_at: float | None = None  # when the broker last showed that it knows of us

    @property
    def alive_s(self) -> float | None:
        if self._alive_at is None:
            return None
        return asyncio.get_running_loop().time() - self._alive_at

    @override
    async def __anext__(self) -> RabbitDelivery:
        while not self._closed:
            try:
                if delivery := await self._next():
                    return delivery
            except Unavailable as lost:
                await self._start_over(lost)
        raise StopAsyncIteration

    async def open(self) -> Session:
        """Consume already now. Raises Unavailable."""
        if self._session is None:
            source = self._source
            self._session = await Session.open(
                self._link, source.open, prefetch=source.prefetch, name=source.name
            )
        if not self._session.consuming:
            await self._session.consume()
            self._failures = 0
            self._live()
        return self._session

    async def close(self) -> None:
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close(delete=self._source.delete_at_end)

    async def _next(self) -> RabbitDelivery | None:
        """None: the consumer was renewed; ask again."""
        await self._wait_for_a_free_hand()
        session = await self.open()
        while not session.has_waiting():
            await self._watch(session)
            if self._session is None:
                return None
        if self._source.prefetch == 1:
            await session.stop_consuming()
        message = session.take()
        self._starved = self._silences = 0
        self._live()
        return RabbitDelivery(
            message, origin=self._source.name, settle=session.settle, park=self._source.park
        )

    async def _wait_for_a_free_hand(self) -> None:
        """A new consumer on the same channel has a new prefetch: the bound is ours to keep."""
        session = self._session
        while session is not None and session.unsettled >= self._source.prefetch:
            await session.stirred()

    async def _watch(self, session: Session) -> None:
        try:
            async with asyncio.timeout_at(session.quiet_since + self._watch_s):
                await session.stirred()
        except TimeoutError:
            session.quiet_since = asyncio.get_running_loop().time()
            await self._examine(session)

    async def _examine(self, session: Session) -> None:
        """Silence again. Is the queue empty, or have we been forgotten?"""
        connection = await self._link.connect()
        depth = await self._source.depth()
        if not await session.still_there():
            raise Unavailable(f"queue {self._source.name}", "the consumer vanished")
        if depth.ready == 0 or session.has_waiting():
            self._starved = 0
            self._live()
            await self._renew_now_and_then(session)
            return
        self._starved += 1
        if self._starved > 1:  # a new channel did not help
            await self._link.drop(connection)
        raise Unavailable(f"queue {self._source.name}", "messages wait but none is delivered")

    def _live(self) -> None:
        self._alive_at = asyncio.get_running_loop().time()

    async def _renew_now_and_then(self, session: Session) -> None:
        self._silences += 1
        if self._silences >= RENEW_AFTER and not session.unsettled and not session.has_waiting():
            self._silences = 0
            self._session = None
            await session.close()

    async def _start_over(self, lost: Unavailable) -> None:
        level = logging.DEBUG if self._failures else logging.WARNING  # once an outage is enough
        log.log(level, "bus.consumer_lost", extra={"queue": self._source.name, "why": lost.why})
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await asyncio.sleep(_pause(self._failures))
        self._failures += 1
        if "no such queue" in lost.why:
            await self._restore()

    async def _restore(self) -> None:
        try:
            await self._source.restore()
        except Unavailable as why:
            log.debug("bus.restore_failed", extra={"queue": self._source.name, "why": str(why)})


def _pause(failures: int) -> float:
    """None before the first new attempt: most losses are over at once."""
    if not failures:
        return 0.0
    longest = min(RETRY_S * 2 ** min(failures, 10), RETRY_CAP_S)
    return random.uniform(longest / 2, longest)  # all consumers lost theirs at once
