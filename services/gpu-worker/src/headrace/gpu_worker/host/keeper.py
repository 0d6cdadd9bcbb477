"""The keeper of one slot's child: starts it, knows which models are warm, replaces it when it must.

An engine that can let go of a model has several loaded, as many as the lane's memory allows; another
has the one that it loaded last.

A child that did not say it is idle again is poisoned: nobody knows what it is doing, so it is killed
before the next job, never reused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.ids import Lane
from headrace.contracts.messages import JobError
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.attempts import Line
from headrace.gpu_worker.gpus import environment_for
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.process import Host, HostLost
from headrace.gpu_worker.host.shelf import Shelf, Warm, Weights
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.host")
_MIB: Final = 2**20

Hear: TypeAlias = Callable[[wire.Said | wire.Checkpointed], Awaitable[None]]
Show: TypeAlias = Callable[[wire.Made], Awaitable[None]]


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
    def __init__(
        self,
        lane: LaneOptions,
        limits: Limits,
        changed: Callable[[], None] = lambda: None,
        gpu: str | None = None,
    ) -> None:
        """`changed` is called when other models are warm than before."""
        self._lane = lane
        self._limits = limits
        self._environment = environment_for(gpu)
        self._host: Host | None = None
        self._idle = False
        self._runs = 0
        self._running: int | None = None
        self._serves: Mapping[str, str] = {}
        self._shelf = Shelf(None)
        self._lets_go = False
        self._changed = changed

    @property
    def lane(self) -> Lane:
        return self._lane.lane

    @property
    def pid(self) -> int | None:
        return None if self._host is None else self._host.pid

    @property
    def outgrown(self) -> JobError | None:
        """What is wrong with a child that holds more than it may."""
        most = self._lane.process_bytes
        if most is None or (held := self.memory_bytes) <= most:
            return None
        mib, most_mib = held // 2**20, most // 2**20
        message = f"its process took {mib} MiB of memory; in this lane {most_mib} MiB are the most"
        return JobError("resource", message)

    @property
    def memory_bytes(self) -> int:
        return 0 if self._host is None else self._host.memory_bytes

    @property
    def warm(self) -> list[Warm]:
        """What was used last is last."""
        return list(self._shelf) if self._host is not None and self._host.alive else []

    @property
    def latest(self) -> Weights | None:
        """What its engine has of its own and was used last, also if the child is gone since."""
        own = [warm.weights for warm in self._shelf if warm.weights.path is None]
        return own[-1] if own else None

    @property
    def line(self) -> Line:
        """It has one job at a time: nobody waits here."""
        return Line("batch", "")

    def serves(self, ids: Mapping[str, str]) -> None:
        """Whose job it works on, for what its child prints."""
        self._serves = ids
        if self._host is not None:
            self._host.serves(ids)

    def has(self, weights: Weights) -> bool:
        """Whether it would not have to be loaded."""
        return self._usable and self._shelf.has(weights)

    async def ready(self, weights: Weights | None) -> bool:
        """A live child, with this loaded; whether it had to be. Raises NotReady or HostLost."""
        if not self._usable:
            await self.close()
            await self._start()
        if weights is None or self._shelf.use(weights):
            return False
        try:
            await self._make_warm(weights)
        finally:
            self._changed()
        return True

    async def run(
        self,
        request: Callable[[int], wire.Run],
        hear: Hear,
        show: Show,
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
                case wire.Said() | wire.Checkpointed() as said:
                    await hear(said)
                case wire.Made() as blob:
                    made[blob.id] = Blob(blob.media_type, blob.data)
                    if blob.shown:
                        await show(blob)
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
        self._idle, self._running = False, None
        self._shelf.clear()
        if host is not None:
            await host.close()

    async def _start(self) -> None:
        lane = self._lane
        self._host = host = await Host.spawn(lane.lane, self._environment)
        host.serves(self._serves)
        request = wire.Prepare(wire.PROTOCOL, lane.lane, lane.engine, dict(lane.settings))
        answer = await self._settled(request, self._limits.spawn_s, "start")
        if not isinstance(answer, wire.Ready):
            raise HostLost(f"said {type(answer).__name__} instead of Ready", "")
        self._lets_go = answer.lets_go
        self._shelf.limit_bytes = lane.model_bytes if answer.lets_go else None
        _log.info("host.started", lane=lane.lane, pid=host.pid)

    @property
    def _usable(self) -> bool:
        return self._host is not None and self._host.alive and self._idle

    async def _make_warm(self, weights: Weights) -> None:
        if weights.path is not None and weights.format not in self._lane.card.formats:
            known = ", ".join(self._lane.card.formats) or "none"
            why = f"{self._lane.lane} loads no artefacts of format {weights.format!r} ({known})"
            raise NotReady(JobError("internal", why))
        if not self._shelf.fits(weights):
            raise self._too_large(weights)
        if not self._lets_go:
            self._shelf.clear()  # while it loads, neither the old nor the new one can be relied on
        await self._evict(self._shelf.displaced_by(weights))
        try:
            await self._load(weights)
        except NotReady as failure:
            others = [warm.weights.model for warm in self._shelf]
            if failure.error.kind != "resource" or not others:
                raise
            await self._evict(others)  # once more, with all the room there is
            await self._load(weights)
        await self._evict(self._shelf.beyond_limit(weights))
        if not self._shelf.fits(weights):
            raise self._too_large(weights)
        if not self._shelf.has(weights):  # the engine did not let go of another, and began anew
            await self._load(weights)

    async def _load(self, weights: Weights) -> None:
        model, path = weights.model, weights.path
        request = wire.Load(model, None if path is None else str(path))
        answer = await self._settled(request, self._limits.load_s, f"load {model}")
        if not isinstance(answer, wire.Loaded):
            raise HostLost(f"said {type(answer).__name__} instead of Loaded", "")
        self._shelf.put(Warm(weights, answer.added_bytes, answer.load_s))
        metrics.MODEL_LOAD.labels(lane=self._lane.lane).observe(answer.load_s)
        _log.info(
            "host.loaded",
            lane=self._lane.lane,
            model=model,
            load_s=round(answer.load_s, 3),
            added_mb=round(answer.added_bytes / _MIB, 1),
            rss_mb=round(answer.rss_mb, 1),
        )

    async def _evict(self, models: Sequence[str]) -> None:
        """An engine that cannot is started anew: what it holds then is known again."""
        for model in models:
            self._shelf.drop(model)
            try:
                await self._settled(wire.Unload(model), self._limits.load_s, f"unload {model}")
            except NotReady as failure:
                _log.error("host.kept_model", lane=self._lane.lane, model=model, error=str(failure))
                await self.close()
                await self._start()
                return
            metrics.MODEL_EVICTIONS.labels(lane=self._lane.lane).inc()
            _log.info("host.unloaded", lane=self._lane.lane, model=model)

    def _too_large(self, weights: Weights) -> NotReady:
        limit_mib = (self._shelf.limit_bytes or 0) // _MIB
        why = f"{weights.model} does not fit into the {limit_mib} MiB that this slot has for models"
        return NotReady(JobError("resource", why))

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
