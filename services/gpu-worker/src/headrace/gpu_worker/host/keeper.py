"""The keeper of one slot's child: starts it, knows which model is warm, replaces it when it must.

A child that did not say it is idle again is poisoned: nobody knows what it is doing, so it is killed
before the next job, never reused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from headrace.contracts.messages import JobError
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.process import Host, HostLost
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.host")


Hear: TypeAlias = Callable[[wire.Said], Awaitable[None]]


class NotReady(Exception):
    """The engine could not be prepared or its model not loaded."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Neither output nor error: it stopped, as it was told."""

    output: dict[str, Any] | None
    error: JobError | None
    made: dict[str, Blob]


class Keeper:
    def __init__(self, lane: LaneOptions, limits: Limits) -> None:
        self._lane = lane
        self._limits = limits
        self._host: Host | None = None
        self._idle = False
        self._runs = 0
        self._running: int | None = None
        self._serves: Mapping[str, str] = {}
        self.model: str | None = None  # the one that is warm

    @property
    def memory_bytes(self) -> int:
        return 0 if self._host is None else self._host.memory_bytes

    def serves(self, ids: Mapping[str, str]) -> None:
        """Whose job it works on, for what its child prints."""
        self._serves = ids
        if self._host is not None:
            self._host.serves(ids)

    async def ready(self, model: str | None) -> None:
        """A live child, with this model loaded. Raises NotReady or HostLost."""
        if self._host is None or not self._host.alive or not self._idle:
            await self.close()
            await self._start()
        if model is not None and model != self.model:
            await self._load(model)

    async def run(
        self,
        request: Callable[[int], wire.Run],
        hear: Hear,
        begun: Callable[[], None] = lambda: None,
    ) -> RunEnded:
        """Ends when the child says so, or raises HostLost; whoever calls sees to it that one happens."""
        host = self.begin()
        begun()
        self._runs += 1
        self._running = run = self._runs
        made: dict[str, Blob] = {}
        await host.ask(request(run))
        while True:
            match await host.answer():
                case wire.Said() as said:
                    await hear(said)
                case wire.Made() as blob:
                    made[blob.id] = Blob(blob.media_type, blob.data)
                case wire.Ended() as ended:
                    self._idle, self._running = True, None
                    return run_ended(ended, made)
                case other:
                    raise HostLost(f"said {type(other).__name__} in the middle of a run", "")

    def ask_to_stop(self) -> None:
        if self._host is not None and self._running is not None:
            self._host.ask_to_stop(self._running)

    def kill_if_busy(self) -> None:
        """An idle child is left warm for the next job."""
        if self._host is not None and not self._idle:
            self._host.kill()

    async def close(self) -> None:
        host, self._host = self._host, None
        self._idle, self._running, self.model = False, None, None
        if host is not None:
            await host.close()

    async def _start(self) -> None:
        lane = self._lane
        self._host = host = await Host.spawn(lane.lane)
        host.serves(self._serves)
        request = wire.Prepare(wire.PROTOCOL, lane.lane, lane.engine, dict(lane.settings))
        answer = await self._settled(request, self._limits.spawn_s, "start")
        if not isinstance(answer, wire.Ready):
            raise HostLost(f"said {type(answer).__name__} instead of Ready", "")
        _log.info("host.started", lane=lane.lane, pid=host.pid)

    async def _load(self, model: str) -> None:
        self.model = None  # while it loads, neither the old nor the new one can be relied on
        answer = await self._settled(wire.Load(model), self._limits.load_s, f"load {model}")
        if not isinstance(answer, wire.Loaded):
            raise HostLost(f"said {type(answer).__name__} instead of Loaded", "")
        self.model = model
        _log.info(
            "host.loaded",
            lane=self._lane.lane,
            model=model,
            load_s=round(answer.load_s, 3),
            rss_mb=round(answer.rss_mb, 1),
        )

    async def _settled(self, request: wire.ToChild, within_s: float, what: str) -> wire.ToWorker:
        host = self.begin()
        try:
            async with asyncio.timeout(within_s):
                await host.ask(request)
                answer = await host.answer()
        except TimeoutError as error:
            host.kill()
            said = JobError("transient", f"the engine did not {what} within {within_s:g} s")
            raise NotReady(said) from error
        self._idle = True
        if isinstance(answer, wire.Failed):
            raise NotReady(answer.error)
        return answer

    def begin(self) -> Host:
        """To be spoken with by whoever calls, who says `done` once the child is idle again."""
        if self._host is None:
            raise HostLost("is not there", "")
        self._idle = False
        return self._host

    def done(self) -> None:
        self._idle = True


def run_ended(ended: wire.Ended, made: dict[str, Blob]) -> RunEnded:
    output = None if ended.output is None else msgspec.json.decode(ended.output)
    return RunEnded(output, ended.error, made)
