"""The dispatcher as a role: three queues to answer, one of the dead, and its loops to turn."""

from __future__ import annotations

import asyncio
from itertools import chain

from headrace.contracts.topology import Topology
from headrace.core.consume import Handle, consume
from headrace.core.usecases.runs import expire_runs
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.batches import BatchDesk
from headrace.dispatcher.calling import Caller
from headrace.dispatcher.cleaning import Cleaner
from headrace.dispatcher.gathering import Gatherer
from headrace.dispatcher.inbox import Inbox
from headrace.dispatcher.loops import Wake, loop
from headrace.dispatcher.options import Chance, DispatcherOptions, Ports
from headrace.dispatcher.producing import ProducersDesk
from headrace.dispatcher.recurring import Recurring
from headrace.dispatcher.releasing import Releaser
from headrace.dispatcher.rolling import RolloutKeeper
from headrace.dispatcher.standing import EVERY as STANDING_EVERY
from headrace.dispatcher.standing import Standing
from headrace.dispatcher.sweeping import Sweeper
from headrace.dispatcher.taking import LOOK_EVERY, Taker
from headrace.dispatcher.undertaker import Undertaker
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger, trace_of

_log = get_logger("dispatcher")


class Dispatcher:
    """Several may run on one store: every decision is a guarded write."""

    name = "dispatcher"

    def __init__(
        self, ports: Ports, topology: Topology, options: DispatcherOptions, chance: Chance
    ) -> None:
        store, bus, streams = ports.store, ports.bus, ports.streams
        self._store, self._bus = store, bus
        self._topology, self._options = topology, options
        self._work = Wake()  # something may wait to be offered, or there is room to offer it
        self._attendance = Attendance(store, options, self._work)
        self._taker = Taker(ports, topology, options, self._attendance)
        self._releaser = Releaser(
            ports, topology, options, self._attendance, self._taker.keep, self._taker.compare
        )
        self._sweeper = Sweeper(store, bus, streams, options, self._releaser, self._work)
        self._gatherer = Gatherer(ports, topology, options, self._attendance)
        self._inbox = Inbox(ports, options, chance.random, self._stir, self._taker, self._gatherer)
        self._undertaker = Undertaker(store, bus, options, self._attendance, chance.new_id)
        self._recurring = Recurring(store, options, self._attendance, chance.new_id)
        self._producers = (
            None
            if ports.producers is None
            else ProducersDesk(ports, ports.producers, options, self._attendance)
        )
        self._batches = BatchDesk(ports, options, self._attendance)
        self._standing = Standing(store, self._attendance)
        self._cleaner = Cleaner(ports, options, self._sweeper)
        self._rollout = RolloutKeeper(ports, options)
        self._caller = (
            None if ports.receivers is None else Caller(store, ports.receivers, options, chance)
        )

    async def serve(self, stop: asyncio.Event) -> None:
        topology = self._topology
        inboxes: dict[str, Handle] = {
            topology.claims: self._inbox.claims,
            topology.heartbeats: self._inbox.heartbeats,
            topology.results: self._inbox.results,
        }
        await self._bus.declare(list(inboxes))
        _log.info("dispatcher.started", path=self._options.path)
        async with asyncio.TaskGroup() as group:
            for queue, handle in inboxes.items():
                heap = self._inbox.heap_of_results if queue == topology.results else None
                group.create_task(
                    consume(self._bus, queue, handle, stop, report=_report, heap=heap)
                )
            group.create_task(self._undertaker.listen(topology.dead, stop, _report))
            group.create_task(self._listen(stop))
            group.create_task(self._attendance_loop(stop))
            group.create_task(self._release_loop(stop))
            group.create_task(self._takes_loop(stop))
            group.create_task(self._gangs_loop(stop))
            group.create_task(self._sweep_loop(stop))
            group.create_task(self._upkeep_loop(stop))
            group.create_task(self._batches_loop(stop))
            group.create_task(self._purge_loop(stop))
            group.create_task(self._erase_loop(stop))
            group.create_task(self._standing_loop(stop))
            group.create_task(self._collect_loop(stop))
            group.create_task(self._guard_loop(stop))
            group.create_task(self._shadows_loop(stop))
            if self._producers is not None:
                group.create_task(self._producers_loop(self._producers, stop))
            if self._caller is not None:
                group.create_task(self._caller.serve(stop))
        _log.info("dispatcher.stopped")

    async def _listen(self, stop: asyncio.Event) -> None:
        """Pass the store's hints on to the release loop. Bounded waits, so that `stop` is seen."""
        async with self._store.hints() as hints:
            while not stop.is_set():
                if await hints.wait(0.5):
                    self._stir()

    def _stir(self) -> None:
        self._work()
        self._taker.stir()

    async def _takes_loop(self, stop: asyncio.Event) -> None:
        turn, wake, options = self._taker.turn, self._taker.wake, self._options
        await loop("takes", turn, wake, stop, every=LOOK_EVERY, limit=options.turn_limit)

    async def _attendance_loop(self, stop: asyncio.Event) -> None:
        turn, every = self._attendance.turn, self._attendance.every
        await loop("attendance", turn, Wake(), stop, every=every, limit=self._options.turn_limit)

    async def _release_loop(self, stop: asyncio.Event) -> None:
        options = self._options
        turn, wake = self._releaser.turn, self._work
        await loop("release", turn, wake, stop, every=options.poll, limit=options.turn_limit)

    async def _gangs_loop(self, stop: asyncio.Event) -> None:
        turn, options = self._gatherer.turn, self._options
        await loop("gangs", turn, Wake(), stop, every=options.poll, limit=options.turn_limit)

    async def _sweep_loop(self, stop: asyncio.Event) -> None:
        every, limit = self._options.sweep_every, self._options.turn_limit
        await loop("sweep", self._sweeper.turn, Wake(), stop, every=every, limit=limit)

    async def _upkeep_loop(self, stop: asyncio.Event) -> None:
        """Apart from the release loop: neither waits for the other's trouble."""
        options = self._options
        every, limit = options.poll, options.turn_limit
        await loop("upkeep", self._upkeep, Wake(), stop, every=every, limit=limit)

    async def _upkeep(self) -> bool:
        fired = await self._recurring.fire()
        late = await self._expire_runs()
        replayed = await self._undertaker.replay()
        return fired or late or replayed

    async def _expire_runs(self) -> bool:
        limit = self._options.batch
        found = [
            await expire_runs(self._store, path=path, limit=limit)
            for path in self._attendance.paths
        ]
        for run in chain.from_iterable(found):
            _log.warning("run.expired", run=run.id, tenant=run.tenant, deadline_s=run.deadline_s)
        return any(len(late) >= limit for late in found)

    async def _batches_loop(self, stop: asyncio.Event) -> None:
        every, limit = self._options.poll, self._options.turn_limit
        await loop("batches", self._batches.turn, Wake(), stop, every=every, limit=limit)

    async def _purge_loop(self, stop: asyncio.Event) -> None:
        options = self._options
        every, limit = options.purge_every, options.turn_limit
        await loop("purge", self._cleaner.purge, Wake(), stop, every=every, limit=limit)

    async def _erase_loop(self, stop: asyncio.Event) -> None:
        every, limit = self._options.poll, self._options.turn_limit
        await loop("erase", self._cleaner.erase, Wake(), stop, every=every, limit=limit)

    async def _standing_loop(self, stop: asyncio.Event) -> None:
        turn, limit = self._standing.turn, self._options.turn_limit
        await loop("standing", turn, Wake(), stop, every=STANDING_EVERY, limit=limit)

    async def _collect_loop(self, stop: asyncio.Event) -> None:
        options = self._options
        every, limit = options.collect_every, options.turn_limit
        await loop("collect", self._cleaner.collect, Wake(), stop, every=every, limit=limit)

    async def _guard_loop(self, stop: asyncio.Event) -> None:
        every, limit = self._options.guard_every, self._options.turn_limit
        await loop("guard", self._rollout.guard, Wake(), stop, every=every, limit=limit)

    async def _shadows_loop(self, stop: asyncio.Event) -> None:
        every, limit = self._options.shadows_every, self._options.turn_limit
        await loop("shadows", self._rollout.shadows, Wake(), stop, every=every, limit=limit)

    async def _producers_loop(self, desk: ProducersDesk, stop: asyncio.Event) -> None:
        every, limit = self._options.poll, self._options.turn_limit
        await loop("producers", desk.turn, Wake(), stop, every=every, limit=limit)


def _report(outcome: str, queue: str, error: Exception) -> None:
    metrics.MESSAGES_SETTLED.labels(outcome=outcome).inc()
    _log.error(
        "message.settled",
        outcome=outcome,
        queue=queue,
        error=str(error) or "took too long",
        exc_info=trace_of(error),
    )
