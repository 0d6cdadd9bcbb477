"""One consumer on one channel, for as long as nothing happens to either."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import aiormq
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.adapters.bus.rabbitmq.link import ANSWER_WITHIN_S, CLOSE_WITHIN_S, Link
from headrace.core.errors import Unavailable

OpenQueue = Callable[[AbstractChannel], Awaitable[AbstractQueue]]


class Session:
    """Messages that its channel delivered are worth nothing once it is over: they come again."""

    def __init__(self, link: Link, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self._link = link
        self._channel = channel
        self._queue = queue
        self._tag: str | None = None
        self._waiting: deque[AbstractIncomingMessage] = deque()  # bounded by the prefetch
        self._in_hand: set[int] = set()
        self._stirred = asyncio.Event()
        self._over: str | None = None
        self.quiet_since = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, link: Link, open_queue: OpenQueue, *, prefetch: int, name: str) -> Session:
        channel = await link.channel()
        try:
            with as_unavailable(f"queue {name}"):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await channel.set_qos(prefetch_count=prefetch)
                    queue = await open_queue(channel)
                    session = cls(link, channel, queue)
                    await session._listen_for_the_end()
        except BaseException:
            await link.discard(channel)
            raise
        return session

    @property
    def unsettled(self) -> int:
        return len(self._in_hand)

    @property
    def consuming(self) -> bool:
        return self._tag is not None

    async def consume(self) -> None:
        with as_unavailable(f"queue {self._queue.name}"):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                self._tag = await self._queue.consume(self._on_message)
        self.quiet_since = asyncio.get_running_loop().time()

    async def stop_consuming(self) -> None:
        """What is in hand stays in hand; nothing else arrives after this."""
        if self._tag is None or self._over:
            return
        with as_unavailable(f"queue {self._queue.name}"):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._queue.cancel(self._tag)
        self._tag = None

    async def still_there(self) -> bool:
        """Do the channel and its consumer live, as far as this side knows?"""
        if self._over or self._channel.is_closed:
            return False
        underlay = await self._channel.get_underlay_channel()
        return isinstance(underlay, aiormq.Channel) and self._tag in underlay.consumers

    async def stirred(self) -> None:
        """Until there is a message or one was settled. Raises Unavailable when it is over."""
        self._stirred.clear()
        if not self._waiting and not self._over:
            await self._stirred.wait()
        if self._over:
            raise Unavailable(f"queue {self._queue.name}", self._over)

    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def take(self) -> AbstractIncomingMessage:
        if not self._waiting:
            raise Unavailable(f"queue {self._queue.name}", self._over or "its messages went back")
        message = self._waiting.popleft()
        self._in_hand.add(message.delivery_tag or 0)
        return message

    def settle(self, message: AbstractIncomingMessage) -> bool:
        tag = message.delivery_tag or 0
        if tag not in self._in_hand:
            return False
        self._in_hand.discard(tag)
        self._stirred.set()
        return True

    async def close(self, *, delete: bool = False) -> None:
        """The consumer first, so that nothing arrives while we leave; unsettled messages go back."""
        try:
            await self.stop_consuming()
            if delete and not self._over:
                await self._delete()
        except Unavailable:
            pass  # closing the channel, or losing it, gives everything back as well
        finally:
            self.end("its receiver left")
            await self._link.discard(self._channel)

    def end(self, why: str) -> None:
        self._over = self._over or why
        self._waiting.clear()
        self._in_hand.clear()
        self._stirred.set()

    async def _delete(self) -> None:
        with as_unavailable(f"queue {self._queue.name}"):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._queue.delete(if_unused=False, if_empty=False)

    async def _listen_for_the_end(self) -> None:
        self._channel.close_callbacks.add(self._on_close)
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancel)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        if self._over is None:
            self._waiting.append(message)
            self.quiet_since = asyncio.get_running_loop().time()
            self._stirred.set()

    def _on_close(self, _: object, why: BaseException | None) -> None:
        self.end(f"its channel was closed ({why or 'no reason given'})")

    def _on_cancel(self, _: object) -> None:
        self.end("the broker cancelled the consumer")
