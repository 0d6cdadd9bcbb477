"""One connection to the broker, made anew by whoever needs it after it was lost.

There is no background task: a sender or a receiver in need of a channel waits here, within its own
deadline, for the next attempt. Attempts are paced, each process by its own pace, so that a broker
which comes back does not meet all of them at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from headrace.adapters.bus.rabbitmq.driver import Connection
from headrace.adapters.bus.rabbitmq.faults import BROKER, as_unavailable, timed_out
from headrace.core.errors import Unavailable

HEARTBEAT_S: Final = 15
CONNECT_WITHIN_S: Final = 10.0
ANSWER_WITHIN_S: Final = 5.0  # one question to the broker, such as opening a channel
CLOSE_WITHIN_S: Final = 1.0
DROP_WITHIN_S: Final = 0.1  # a stuck connection is not waited for: its socket is closed at once

log = logging.getLogger(__name__)


class Link:
    def __init__(self, url: str, *, name: str, pause_s: float) -> None:
        """`pause_s`: between two attempts to connect, and at most that before the first."""
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=HEARTBEAT_S)
        self.what = f"{BROKER} at {self._url.host}:{self._url.port or 5672}"
        self._name = name
        self._pause_s = pause_s
        self._connection: AbstractConnection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._not_before = 0.0
        self._closed = False
        self.version = (0, 0)  # of the broker, as soon as it was reached

    async def connect(self) -> AbstractConnection:
        """The live connection. Raises Unavailable when an attempt failed."""
        async with self._one_at_a_time:
            if self._connection is None or not self._connection.connected.is_set():
                await self._let_go(DROP_WITHIN_S)
                self._connection = await self._attempt()
            connection = self._connection
        if self._closed:
            await self._let_go(DROP_WITHIN_S)
            raise Unavailable(self.what, "this side has closed it")
        return connection

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """A new channel; waits while the broker holds this connection's publishes back."""
        connection = await self.connect()
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        try:
            with as_unavailable(self.what):
                await _unblocked(connection)
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await channel.initialize()
        except Unavailable as failed:
            if timed_out(failed):
                await self.drop(connection)
            raise
        return channel

    async def discard(self, channel: AbstractChannel) -> None:
        """Close a channel; where the broker does not even answer that, drop its connection."""
        connection = self._connection
        try:
            with as_unavailable(self.what):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await channel.close()
        except Unavailable as failed:
            # While it is blocked the driver keeps the Close for later; a new connection would be
            # blocked as well.
            if timed_out(failed) and not await self.is_blocked():
                await self.drop(connection)

    async def drop(self, connection: AbstractConnection | None) -> None:
        """Give up on a stuck connection, unless somebody else did and there is a new one."""
        if connection is not None and connection is self._connection:
            log.warning("bus.connection_dropped", extra={"link": self._name})
            await self._let_go(DROP_WITHIN_S)

    async def is_blocked(self) -> bool:
        """Does the broker hold back what this connection publishes (an alarm)?"""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(0):
                await _unblocked(self._connection)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        """For good, also for an attempt that is under way."""
        self._closed = True
        await self._let_go(CLOSE_WITHIN_S)

    async def _attempt(self) -> AbstractConnection:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._not_before - loop.time())
        self._not_before = loop.time() + self._pause_s
        with as_unavailable(self.what):
            connection = await aio_pika.connect(
                self._url,
                timeout=CONNECT_WITHIN_S,
                client_properties={"connection_name": self._name},
                connection_class=Connection,
            )
        connection.close_callbacks.add(self._on_close)
        self.version = _version_of(connection)
        found = {"link": self._name, "broker": self.what, "version": self.version}
        log.info("bus.connected", extra=found)
        return connection

    def _on_close(self, *_: object) -> None:
        jitter = random.uniform(0, self._pause_s)  # every client lost its connection just now
        self._not_before = asyncio.get_running_loop().time() + jitter

    async def _let_go(self, within_s: float) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with as_unavailable(self.what):
                async with asyncio.timeout(within_s):
                    await connection.close()
        except Unavailable as why:
            log.debug("bus.connection_close_failed", extra={"link": self._name, "why": str(why)})


async def _unblocked(connection: AbstractConnection) -> None:
    if connection.transport is not None:
        await connection.transport.ready()


def _version_of(connection: AbstractConnection) -> tuple[int, int]:
    properties = connection.transport.connection.server_properties if connection.transport else {}
    told = re.match(r"(\d+)\.(\d+)", str(properties.get("version")))
    return (int(told[1]), int(told[2])) if told else (0, 0)
