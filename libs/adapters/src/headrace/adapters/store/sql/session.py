"""One transaction's connection: begun, spoken to and ended, each with a limit and in our own errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from sqlalchemy import CursorResult, Executable, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headrace.adapters.store.sql.errors import DATABASE, translated
from headrace.adapters.store.sql.expressions import ROWS, clock
from headrace.core.batch import ItemEnd
from headrace.core.errors import InvalidInput, Unavailable

T = TypeVar("T")
Undo: TypeAlias = Callable[[T], Awaitable[None]]
_NOW: Final = select(clock())
_NUL: Final = b"\\u0000"


class Session:
    """`stirred`: this transaction made something that a dispatcher may want to look at.

    `ends` are counted last, just before the commit: what that holds is held for one statement.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._now: datetime | None = None
        self.postgresql = connection.dialect.name == "postgresql"
        self.stirred = False
        self.ends: list[ItemEnd] = []
        self._spoiled = False

    async def run(self, statement: Executable, **values: Any) -> CursorResult[Any]:
        # PostgreSQL rolls back at COMMIT, without a word, when a statement failed or was given up;
        # whoever caught that error must not leave believing that the rest was kept.
        self._spoiled, before = True, self._spoiled
        with translated():
            asked = self._connection.execute(statement, values)
            # SQLite works on in its thread when nobody waits any more, and a connection that is given up
            # meanwhile keeps its lock: the whole file would stand still until it times out.
            result = await (asked if self.postgresql else to_its_end(asked))
        self._spoiled = before
        return result

    async def run_batch(
        self, statement: Executable, rows: Iterable[Mapping[str, Any]], **values: Any
    ) -> CursorResult[Any]:
        return await self.run(statement, **{ROWS: packed(rows)}, **values)

    async def now(self) -> datetime:
        if self._now is None:
            self._now = (await self.run(_NOW)).scalar_one()
        return self._now

    def check(self) -> None:
        if self._spoiled:
            raise Unavailable(DATABASE, "an earlier statement of this transaction failed")

    async def notify(self, channel: str) -> None:
        with translated():
            await self._connection.exec_driver_sql(f'NOTIFY "{channel}"')

    async def commit(self) -> None:
        await to_its_end(self._end(self._connection.commit()))

    async def roll_back(self) -> None:
        await to_its_end(self._end(self._connection.rollback()))

    async def _end(self, last: Awaitable[None]) -> None:
        try:
            with translated():
                await last
        except BaseException:
            # In doubt: never hand this connection to somebody else.
            with suppress(Exception):
                await self._connection.invalidate()
            raise
        finally:
            with suppress(Exception):
                await self._connection.close()


async def to_its_end(work: Awaitable[T], *, unless: Undo[T] | None = None) -> T:
    """A cancelled caller must not leave a commit half said, or its connection in nobody's hands.

    What came of it all the same is given to `unless`. However often the caller is cancelled, the limit
    is the driver's: each command has one.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251  # owned here: nobody leaves before it ends
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # What failed is seen by this; the cancellation matters more.
        if not task.cancelled() and task.exception() is None and unless is not None:
            await to_its_end(unless(task.result()))
        raise


def packed(rows: Iterable[Mapping[str, Any]]) -> str:
    """A batch as its parameter. Raises InvalidInput on what no database column can hold."""
    rows = list(rows)
    try:
        text = msgspec.json.encode(rows)
    except (UnicodeEncodeError, RecursionError) as error:
        raise InvalidInput("", f"cannot be stored: {error}") from error
    if _NUL in text:
        _refuse_nul_in(rows)
    return text.decode()


def _refuse_nul_in(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        for name, value in row.items():
            # Pointers lead into the job's input, where clients look.
            refuse_nul(value, "" if name == "input" else f"/{name}")


def refuse_nul(value: Any, pointer: str = "") -> None:
    """PostgreSQL keeps no NUL in text; what one database refuses, the other shall not accept."""
    match value:
        case str() if "\0" in value:
            raise InvalidInput(pointer, "a NUL character cannot be stored")
        case Mapping():
            for key, each in value.items():
                refuse_nul(key, pointer)
                refuse_nul(each, f"{pointer}/{key}")
        case list() | tuple():
            for place, each in enumerate(value):
                refuse_nul(each, f"{pointer}/{place}")
        case _:
            pass
