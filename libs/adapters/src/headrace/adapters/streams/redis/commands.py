"""Commands on one connection that all callers share, answered in order: no pool, no lock, one write.

A connection that breaks, or goes silent, fails everybody who waits on it, and the next caller makes
a new one. Whoever was not answered does not know what was done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import hiredis
from redis.exceptions import RedisError

from headrace.adapters.streams.redis.wire import Wire, connect
from headrace.core.errors import Unavailable

ANSWER_WITHIN_S: Final = 2.0

Command: TypeAlias = Sequence[str | int | bytes]


class Commands:
    """`first` is sent at the start of every connection, before anybody's commands."""

    def __init__(self, url: str, *, first: Sequence[Command] = ()) -> None:
        self._url, self._first = url, first
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order. Raises Unavailable, also when one of them is an error."""
        line = self._line if self._line is not None and self._line.usable else await self._new()
        return await line.send(commands)

    def close(self) -> None:
        if self._line is not None:
            self._line.fail("this connection is closed")

    async def _new(self) -> _Line:
        async with self._connecting:
            if self._line is not None and self._line.usable:
                return self._line
            line = _Line()
            try:
                line.wire = await connect(self._url, line.take)
            except (OSError, TimeoutError, RedisError) as error:
                raise _unavailable(str(error) or type(error).__name__) from error
            if self._first:
                await self._introduce(line)
            self._line = line
            return line

    async def _introduce(self, line: _Line) -> None:
        try:
            await line.send(self._first)
        except BaseException:  # nobody else knows of it: left open, it would stay for good
            line.wire.close()
            raise


class _Call:
    """One caller's commands: so many answers are to come."""

    __slots__ = ("answered", "replies", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.replies: list[Any] = []
        self.answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        if self.answered.done():
            return  # the caller has left
        error = next((each for each in self.replies if isinstance(each, hiredis.ReplyError)), None)
        if error is None:
            self.answered.set_result(self.replies)
        else:
            self.answered.set_exception(_unavailable(str(error)))


class _Line:
    """One connection, and those who wait for an answer on it."""

    wire: Wire

    def __init__(self) -> None:
        self._calls: deque[_Call] = deque()

    @property
    def usable(self) -> bool:
        return not self.wire.lost.is_set()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        call = _Call(len(commands))
        self._calls.append(call)
        heard = self.wire.heard
        self.wire.write(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]  # the stub says one word
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await call.answered
        except TimeoutError:
            if self.wire.heard == heard:  # else it is only slow, with much to say to others
                self.fail("it does not answer")
            raise _unavailable("it did not answer in time") from None

    def take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.HiredisError) and not isinstance(reply, hiredis.ReplyError):
            self.fail(str(reply))
        elif self._calls:
            call = self._calls[0]
            call.replies.append(reply)
            if len(call.replies) == call.wanted:
                self._calls.popleft().finish()

    def fail(self, why: str) -> None:
        self.wire.close()
        calls, self._calls = self._calls, deque()
        for call in calls:
            if not call.answered.done():
                call.answered.set_exception(_unavailable(why))


def _unavailable(why: str) -> Unavailable:
    return Unavailable("Redis", why)
