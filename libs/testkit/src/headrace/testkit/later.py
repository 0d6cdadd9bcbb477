"""A store whose clock a test moves: hours pass in a step."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from headrace.core.ports.store import Hints, Store, Transaction


class _LaterTransaction:
    def __init__(self, inner: Transaction, by: timedelta) -> None:
        self._inner, self._by = inner, by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def now(self) -> datetime:
        return await self._inner.now() + self._by


class LaterStore:
    """What the store itself stamps keeps the real time; what is asked by a given time does not."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.by = timedelta(0)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        async with self._inner.begin() as tx:
            yield cast("Transaction", _LaterTransaction(tx, self.by))

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        return self._inner.hints()

    async def ping(self) -> None:
        await self._inner.ping()
