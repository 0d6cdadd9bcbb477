"""Commands on one connection that all callers share, answered in order: no pool, no lock, one write.

A connection that breaks, or goes silent, fails everybody who waits on it, and the next caller makes
a new one. Whoever was not answered does not know what was done. While the server is away one caller
at a time looks for it, now and then, and all others are refused at once: nobody queues to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import hiredis
from redis.exceptions import RedisError

from headrace.adapters.redis.wire import Wire, connect
from headrace.core.errors import Unavailable

ANSWER_WITHIN_S: Final = 2.0
AGAIN_AFTER_S: Final = (0.5, 1.0)  # a look for the server that was in vain

_jitter = Random()  # spreads retries, guards nothing


class Packed(NamedTuple):
    """A command as it goes over the wire, packed by who knows it best."""

    key: bytes
    words: bytes


Command: TypeAlias = Sequence[str | int | bytes] | Packed


class First(Protocol):
    """What is sent at the start of every connection, before anybody's commands."""

    def __call__(self, *, clustered: bool) -> Sequence[Command]: ...


def nothing(*, clustered: bool) -> Sequence[Command]:  # noqa: ARG001  # as First has it
    return ()


class Commands:
    def __init__(self, url: str, *, first: First = nothing) -> None:
        self._url, self._first = url, first
        self.clustered: bool | None = None  # as the last connection found it; None before the first
        self._line: _Line | None = None
        self._looking = asyncio.Lock()
        self._away: Unavailable | None = None
        self._again_at = 0.0

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order. Raises Unavailable, also when one of them is an error."""
        replies = await self.exchange(commands)
        _raise_first(replies)
        return replies

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, errors among them. Raises Unavailable when there are none."""
        line = self._line if self._line is not None and self._line.usable else await self._new()
        return await line.send(commands)

    async def is_clustered(self) -> bool:
        """Raises Unavailable while nobody has ever answered."""
        if self.clustered is None:
            await self._new()
        return bool(self.clustered)

    @property
    def idle(self) -> bool:
        return self._line is None or self._line.idle

    def close(self) -> None:
        if self._line is not None:
            self._line.fail("this connection is closed")

    async def _new(self) -> _Line:
        if self._away is not None and self._looking.locked():  # somebody looks whether it is back
            raise _unavailable(self._away.why)
        async with self._looking:
            if self._line is not None and self._line.usable:
                return self._line
            if self._away is not None and _now() < self._again_at:
                raise _unavailable(self._away.why)
            try:
                self._line = await self._connected()
            except Unavailable as error:
                self._away = error
                self._again_at = _now() + _jitter.uniform(*AGAIN_AFTER_S)
                raise
            self._away = None
            return self._line

    async def _connected(self) -> _Line:
        line = _Line()
        try:
            line.wire = await connect(self._url, line.take)
        except (OSError, TimeoutError, RedisError) as error:
            raise _unavailable(str(error) or type(error).__name__) from error
        self.clustered = line.wire.clustered
        if first := self._first(clustered=self.clustered):
            try:
                _raise_first(await line.send(first))
            except BaseException:
                line.wire.close()
                raise
        return line


class _Call:
    """One caller's commands: so many answers are to come."""

    __slots__ = ("answered", "replies", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.replies: list[Any] = []
        self.answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        if not self.answered.done():  # else the caller has left
            self.answered.set_result(self.replies)


class _Line:
    """One connection, and those who wait for an answer on it."""

    wire: Wire

    def __init__(self) -> None:
        self._calls: deque[_Call] = deque()

    @property
    def usable(self) -> bool:
        return not self.wire.lost.is_set()

    @property
    def idle(self) -> bool:
        return not self._calls

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        call = _Call(len(commands))
        self._calls.append(call)
        heard = self.wire.heard
        self.wire.write(b"".join(map(_packed, commands)))
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


def _raise_first(replies: Sequence[Any]) -> None:
    error = next((each for each in replies if isinstance(each, hiredis.ReplyError)), None)
    if error is not None:
        raise _unavailable(str(error))


def _packed(command: Command) -> bytes:
    if type(command) is Packed:
        return command.words
    words: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub says one word
    return words


def _now() -> float:
    return asyncio.get_running_loop().time()


def _unavailable(why: str) -> Unavailable:
    return Unavailable("Redis", why)
