"""That this process leaves: an event to wait for, and a call for the thousands who do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from typing_extensions import override

Callback: TypeAlias = Callable[[], object]


class Stopping(asyncio.Event):
    """Set once. A live stream asks to be called instead of keeping a task that waits."""

    def __init__(self) -> None:
        super().__init__()
        self._callbacks: set[Callback] = set()

    @override
    def set(self) -> None:
        super().set()
        for callback in list(self._callbacks):
            callback()

    def calls(self, callback: Callback) -> AbstractContextManager[None]:
        """Call it when it is set, at once if it is already, while the body runs."""
        return _Called(self, self._callbacks, callback)


class _Called(AbstractContextManager[None]):
    """No generator, since thousands are in its body at a time."""

    __slots__ = ("_callback", "_callbacks", "_stopping")

    def __init__(self, stopping: Stopping, callbacks: set[Callback], callback: Callback) -> None:
        self._stopping, self._callbacks, self._callback = stopping, callbacks, callback

    @override
    def __enter__(self) -> None:
        self._callbacks.add(self._callback)
        if self._stopping.is_set():
            self._callback()

    @override
    def __exit__(self, *_: object) -> None:
        self._callbacks.discard(self._callback)
