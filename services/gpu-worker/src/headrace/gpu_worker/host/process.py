"""One child process, from the worker's side: started, spoken with, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from contextvars import Context
from typing import Final

import msgspec
from typing_extensions import override

from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.memory import resident_bytes
from headrace.gpu_worker.waiting import rings
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.host")
_STDERR: Final = 2
_TAIL_LINES: Final = 40
_MAX_TAIL: Final = 6_000
_MAX_LINE: Final = 1_000
_LINES_A_SECOND: Final = 50
_EXIT_S: Final = 5.0
_LAST_WORDS_S: Final = 0.5  # what it printed may come after the news of its end


class HostLost(Exception):
    """The child is gone, or talks nonsense: whatever it was doing is over."""

    def __init__(self, why: str, last_lines: str) -> None:
        super().__init__(f"the engine's process {why}")
        self.last_lines = last_lines


class Host:
    """Not used again after HostLost. One request at a time; answers are read by who asked."""

    def __init__(
        self,
        lane: str,
        transport: asyncio.SubprocessTransport,
        output: _Output,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._transport = transport
        self._output = output
        self._reader, self._writer = streams
        self.lane = lane

    @classmethod
    async def spawn(cls, lane: str, environment: Mapping[str, str] | None = None) -> Host:
        """A new interpreter, never a fork: engines hold threads and devices that no fork survives."""
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as undo:
            undo.callback(ours.close)
            streams = await asyncio.open_connection(sock=ours)
            undo.callback(streams[1].close)
            # Last: nothing is awaited while there is a child that nobody would wait for.
            transport, output = await _execute(lane, theirs.fileno(), environment or {})
            undo.pop_all()
        return cls(lane, transport, output, streams)

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def alive(self) -> bool:
        return not self._output.exited.is_set()

    @property
    def memory_bytes(self) -> int:
        """Resident, with what it has started; 0 once it is gone."""
        return resident_bytes(self.pid) if self.alive else 0

    def serves(self, ids: Mapping[str, str]) -> None:
        self._output.serves = ids

    async def ask(self, request: wire.ToChild) -> None:
        try:
            self._writer.write(wire.pack(request))
            await self._writer.drain()
        except OSError:
            raise await self._lost() from None

    async def answer(self) -> wire.ToWorker:
        """Raises HostLost."""
        try:
            head = await self._reader.readexactly(wire.LENGTH.size)
            return wire.for_worker(await self._reader.readexactly(wire.length(head)))
        except (asyncio.IncompleteReadError, OSError):
            raise await self._lost() from None
        except (ValueError, msgspec.DecodeError) as error:
            self.kill()
            raise HostLost(f"said what nobody understands: {error}", self._output.tail()) from error

    def ask_to_stop(self, run: int) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.pack(wire.Stop(run)))

    def kill(self) -> None:
        """The child and all that it started."""
        if self.alive:  # else its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Returns once the process is gone."""
        self.kill()
        self._writer.close()
        try:
            if not await rings(self._output.exited, _EXIT_S):
                _log.error("host.stuck", lane=self.lane, pid=self.pid)
        finally:
            self._transport.close()

    async def _lost(self) -> HostLost:
        if not await rings(self._output.exited, _EXIT_S):
            self.kill()
            return HostLost("closed its end without exiting", self._output.tail())
        await rings(self._output.said_all, _LAST_WORDS_S)
        return HostLost(_ending(self._transport.get_returncode()), self._output.tail())


async def _execute(
    lane: str, descriptor: int, environment: Mapping[str, str]
) -> tuple[asyncio.SubprocessTransport, _Output]:
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            lambda: _Output(lane),
            sys.executable,
            "-P",  # the working directory is no place to import from
            "-m",
            "headrace.gpu_worker.host",
            lane,
            str(descriptor),
            str(os.getpid()),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env={**os.environ, **environment},  # noqa: TID251  # handed on, not read
            start_new_session=True,  # a Ctrl-C at the terminal is for the worker alone
        )
    except OSError as error:
        raise HostLost(f"could not be started: {error}", "") from error


class _Output(asyncio.SubprocessProtocol):
    """What the child prints, as log lines: bounded in length and rate, the last ones kept."""

    def __init__(self, lane: str) -> None:
        self.exited = asyncio.Event()
        self.said_all = asyncio.Event()
        self.serves: Mapping[str, str] = {}
        self._lane = lane
        self._partial: dict[int, bytes] = defaultdict(bytes)
        self._last: deque[str] = deque(maxlen=_TAIL_LINES)
        self._second = 0
        self._lines = 0

    def tail(self) -> str:
        return "\n".join(self._last)[-_MAX_TAIL:]

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, rest = (self._partial[fd] + data).split(b"\n")
        self._partial[fd] = rest[-_MAX_LINE:]
        for line in lines:
            self._take(fd, line)

    @override
    def process_exited(self) -> None:
        self.exited.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for fd, rest in self._partial.items():
            if rest:
                self._take(fd, rest)
        self.said_all.set()

    def _take(self, fd: int, line: bytes) -> None:
        text = line[:_MAX_LINE].decode(errors="replace").rstrip()
        if fd == _STDERR:
            self._last.append(text)
        if self._may_log():
            # In a context of its own: this is called in the one in which the child was started, and
            # that may be another job's.
            Context().run(_log.info, "host.printed", lane=self._lane, line=text, **self.serves)

    def _may_log(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            if self._lines > _LINES_A_SECOND:
                hidden = self._lines - _LINES_A_SECOND
                _log.warning("host.printed_too_much", lane=self._lane, lines=hidden)
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= _LINES_A_SECOND


def _ending(code: int | None) -> str:
    if code is None:
        return "went away"
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
