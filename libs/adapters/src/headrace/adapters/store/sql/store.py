"""The store: transactions with limits, hints, and whether the schema is the one this build knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from headrace.adapters.store.sql import batch_items
from headrace.adapters.store.sql.errors import DATABASE, translated
from headrace.adapters.store.sql.hints import CHANNEL, bell_among, listener_on
from headrace.adapters.store.sql.place import (
    Limits,
    Neighbours,
    Place,
    Postgres,
    engine_for,
    neighbours_on,
    place_of,
)
from headrace.adapters.store.sql.revision import check_revision
from headrace.adapters.store.sql.session import Session, to_its_end
from headrace.adapters.store.sql.transaction import SqlTransaction
from headrace.core.errors import Unavailable
from headrace.core.ports.store import Hints, Transaction

CLOSE_WITHIN_S: Final = 5.0
_revision: Final = select(text("version_num")).select_from(text("alembic_version"))


@asynccontextmanager
async def open_sql_store(
    url: str, *, pool_size: int = 10, limits: Limits | None = None
) -> AsyncGenerator[SqlStore]:
    """Connects when it is first used. Raises Misconfigured when the URL names no known database.

    `limits`, if given, say the pool's size too.
    """
    limits = limits or Limits(pool_size=pool_size)
    place = place_of(url)
    engine = engine_for(place, limits)
    neighbours = None if isinstance(place, Postgres) else neighbours_on(place.file)
    try:
        yield SqlStore(place, engine, limits, neighbours)
    finally:
        with suppress(TimeoutError):  # a server that does not answer need not hear goodbye
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await engine.dispose()


@dataclass(frozen=True, slots=True, eq=False)
class SqlStore:
    place: Place
    engine: AsyncEngine
    limits: Limits
    neighbours: Neighbours | None  # None: PostgreSQL, which keeps order among us by itself

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        async with self._turn():
            session = Session(await self._begun())
            try:
                yield SqlTransaction(session)
                if session.ends:
                    await batch_items.end(session, session.ends)
                session.check()
                if session.stirred and session.postgresql:
                    await session.notify(CHANNEL)
            except BaseException:
                with suppress(Unavailable):  # what went wrong first is what to report
                    await session.roll_back()
                raise
            await session.commit()
        if session.stirred:
            self._ring()

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        if isinstance(self.place, Postgres):
            return listener_on(self.place, self.limits)
        return bell_among(neighbours_on(self.place.file))

    async def ping(self) -> None:
        async with self._turn():
            session = Session(await self._begun())
            try:
                found = (await session.run(_revision)).scalar_one_or_none()
            finally:
                await session.roll_back()
        check_revision(found)

    async def _begun(self) -> AsyncConnection:
        if self.neighbours is None:
            return await self._connected()
        return await to_its_end(self._connected(), unless=lambda begun: Session(begun).roll_back())

    async def _connected(self) -> AsyncConnection:
        with translated():
            connection = await self.engine.connect()
        try:
            with translated():
                _ = await connection.begin()
        except BaseException:
            await connection.close()
            raise
        return connection

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        if self.neighbours is None:
            yield
            return
        gate = self.neighbours.gate
        try:
            async with asyncio.timeout(self.limits.pool_wait_s):
                await gate.acquire()
        except TimeoutError as error:
            raise Unavailable(DATABASE, "another transaction holds it too long") from error
        try:
            yield
        finally:
            gate.release()

    def _ring(self) -> None:
        for bell in self.neighbours.bells if self.neighbours else ():
            bell.set()
