"""The driver's connection, but nothing of a channel stays with it once the channel is closed.

aio-pika 10.2.1 asks the connection to tell each channel of its end, and with aiormq 7.2 cannot take that
back: every look at `closing` is another future. With a channel for every question, that is a leak of
kilobytes a job. A channel's own end says the same, as the connection's comes to all its channels.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import UnderlayChannel
from aio_pika.tools import OneShotCallback
from aiormq.abc import AbstractConnection, ExceptionType
from aiormq.exceptions import ChannelInvalidStateError
from typing_extensions import override


class _Underlay(UnderlayChannel):
    @override
    @classmethod
    async def create(
        cls,
        connection: AbstractConnection,
        close_callback: Callable[..., Awaitable[Any]],
        **kwargs: Any,
    ) -> _Underlay:
        once = OneShotCallback(close_callback)
        channel = await connection.channel(**kwargs)
        channel.closing.add_done_callback(once)
        return cls(channel, once)

    @override
    async def close(self, exc: ExceptionType | None = None) -> None:
        if not self.close_callback.finished.is_set():
            await self.channel.close(exc)
            await self.close_callback.wait()


class Channel(aio_pika.Channel):
    @override
    async def _open(self) -> None:
        transport = self._connection.transport
        if transport is None:
            raise ChannelInvalidStateError("its connection is gone")
        await transport.ready()
        self._channel = await _Underlay.create(
            transport.connection,
            self._on_close,
            publisher_confirms=self.publisher_confirms,
            on_return_raises=self.on_return_raises,
            channel_number=self._channel_number,
        )
        await self._on_open()


class Connection(aio_pika.Connection):
    CHANNEL_CLASS: type[aio_pika.Channel] = Channel
