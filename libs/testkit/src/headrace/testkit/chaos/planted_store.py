"""Planted bugs that sit in how the store is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import text
from typing_extensions import override

from headrace.contracts.ids import Lane, TenantId
from headrace.core.announce import announcement
from headrace.core.ports.store import Change, Hints, Insertion, NewJob, Store, Transaction, Waiting
from headrace.core.ports.streams import Streams
from headrace.wiring.recipes import Wiring

BEHIND = timedelta(hours=1)
EARLY_S = 0.4


class _Wrapped:
    """A transaction with some of its methods replaced by those of a subclass."""

    def __init__(self, inner: Transaction) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def before_commit(self) -> None:
        """Nothing, usually."""


class _Store:
    def __init__(self, inner: Store, wrap: Callable[[Transaction], _Wrapped]) -> None:
        self._inner, self._wrap = inner, wrap

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        async with self._inner.begin() as tx:
            wrapped = self._wrap(tx)
            yield cast("Transaction", wrapped)
            await wrapped.before_commit()

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        return self._inner.hints()

    async def ping(self) -> None:
        await self._inner.ping()


def _with_store(wiring: Wiring, wrap: Callable[[Transaction], _Wrapped]) -> Wiring:
    @asynccontextmanager
    async def store() -> AsyncGenerator[Store]:
        async with wiring.store() as opened:
            yield _Store(opened, wrap)

    return replace(wiring, store=store)


class _NoKeys(_Wrapped):
    async def insert(self, jobs: Sequence[NewJob]) -> list[Insertion]:
        return await self.inner.insert([replace(job, idempotency=None) for job in jobs])


def no_dedupe(wiring: Wiring) -> Wiring:
    return _with_store(wiring, _NoKeys)


class _OwnClock(_Wrapped):
    async def now(self) -> datetime:
        return datetime.now(UTC) - BEHIND


def lease_by_own_clock(wiring: Wiring) -> Wiring:
    """This machine's clock, which is wrong, in place of the database's."""
    return _with_store(wiring, _OwnClock)


def cursor_instead_of_rows(wiring: Wiring) -> Wiring:
    """Ask for what is newer than the newest seen, as if numbers were committed in order."""
    seen = 0

    class Cursor(_Wrapped):
        async def waiting(
            self, path: str, lane: Lane, wanted: Mapping[TenantId, int]
        ) -> Mapping[TenantId, list[Waiting]]:
            nonlocal seen
            heads = await self.inner.waiting(path, lane, wanted)
            numbers = await self._numbers()
            newer = {
                tenant: [row for row in rows if numbers[row.job] > seen]
                for tenant, rows in heads.items()
            }
            found = [numbers[row.job] for rows in newer.values() for row in rows]
            seen = max([seen, *found])
            return {tenant: rows for tenant, rows in newer.items() if rows}

        async def _numbers(self) -> dict[str, int]:
            session = vars(self.inner)["_session"]
            return {row.job: row.number for row in await session.run(_NUMBERS)}

    return _with_store(wiring, Cursor)


_NUMBERS = text("SELECT job, number FROM outbox")


def announce_before_commit(wiring: Wiring) -> Wiring:
    @asynccontextmanager
    async def store() -> AsyncGenerator[Store]:
        async with wiring.store() as opened, wiring.streams() as streams:
            yield _Store(opened, lambda tx: _Hasty(tx, streams))

    return replace(wiring, store=store)


class _Hasty(_Wrapped):
    def __init__(self, inner: Transaction, streams: Streams) -> None:
        super().__init__(inner)
        self._streams = streams
        self._changes: list[Change] = []

    async def save(self, changes: Sequence[Change]) -> list[bool]:
        self._changes += [change for change in changes if change.after.terminal]
        return await self.inner.save(changes)

    @override
    async def before_commit(self) -> None:
        if self._changes:
            await self._streams.append([announcement(change) for change in self._changes])
            await asyncio.sleep(EARLY_S)
