"""Hearing of new work: NOTIFY between processes on PostgreSQL, an event within one on SQLite.

A hint carries nothing and may be lost; who waits looks for itself as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

import asyncpg

from headrace.adapters.store.sql.errors import translated
from headrace.adapters.store.sql.place import Limits, Neighbours, Postgres, connect
from headrace.core.errors import HeadraceError, Unavailable

# Channels belong to a database. Two schemas of one database share this one: a hint too many.
CHANNEL: Final = "headrace_work"
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
CLOSE_WITHIN_S: Final = 2.0
CHECK_EVERY_S: Final = 10.0
CHECK_WITHIN_S: Final = 2.0


class Bell:
    """One waiter on one SQLite file."""

    def __init__(self, rung: asyncio.Event) -> None:
        self._rung = rung

    async def wait(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._rung.wait()
        heard = self._rung.is_set()
        self._rung.clear()
        return heard


@asynccontextmanager
async def bell_among(neighbours: Neighbours) -> AsyncGenerator[Bell]:
    rung = asyncio.Event()
    neighbours.bells.add(rung)
    try:
        yield Bell(rung)
    finally:
        neighbours.bells.discard(rung)


class Listener:
    """One connection that listens. It comes back by itself, and never raises for an outage."""

    def __init__(self, place: Postgres, limits: Limits) -> None:
        self._place = place
        self._limits = limits
        self._connection: asyncpg.Connection | None = None
        self._stirred = asyncio.Event()
        self._pause_s = FIRST_PAUSE_S
        self._alive_at = 0.0
        self._jitter = Random()

    async def wait(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._listen()
                await self._stirred.wait()
        heard = self._stirred.is_set()
        self._stirred.clear()
        if heard:
            self._alive_at = _monotonic()
        elif _monotonic() - self._alive_at > CHECK_EVERY_S:
            await self._check()
        return heard

    async def open(self) -> None:
        """Raises Unavailable: a store that cannot be reached at the start is worth saying."""
        with translated():
            connection = await connect(self._place, self._limits)
        connection.add_termination_listener(self._wake)
        try:
            with translated():
                await connection.add_listener(CHANNEL, self._wake)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        self._pause_s = FIRST_PAUSE_S
        self._alive_at = _monotonic()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.remove_termination_listener(self._wake)
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await connection.remove_listener(CHANNEL, self._wake)
                await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()

    async def _listen(self) -> None:
        """Come back after an outage; what was said meanwhile is made up for by one hint."""
        while self._connection is None or self._connection.is_closed():
            self._connection = None
            try:
                await self.open()
            except HeadraceError:
                await asyncio.sleep(self._pause_s * (0.7 + 0.6 * self._jitter.random()))
                self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
            else:
                self._stirred.set()

    async def _check(self) -> None:
        """A dead socket is silent, and so is a quiet night: ask."""
        if self._connection is None:
            return
        try:
            with translated():
                await self._connection.execute("SELECT 1", timeout=CHECK_WITHIN_S)
            self._alive_at = _monotonic()
        except HeadraceError:
            self._connection.terminate()
            self._connection = None

    def _wake(self, *_: object) -> None:
        self._stirred.set()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def listener_on(place: Postgres, limits: Limits) -> AsyncGenerator[Listener]:
    listener = Listener(place, limits)
    with suppress(Unavailable):
        await listener.open()
    try:
        yield listener
    finally:
        await listener.close()
