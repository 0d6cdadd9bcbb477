"""That this process leaves: an event to wait for, and a call for the thousands who do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
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

    @contextmanager
    def calls(self, callback: Callback) -> Generator[None]:
        """Call it when it is set, at once if it is already, while the body runs."""
        self._callbacks.add(callback)
        if self.is_set():
            callback()
        try:
            yield
        finally:
            self._callbacks.discard(callback)
