"""The worker as a role: a mailbox, heartbeats, and a slot for every child of every lane.

Stopping has two steps. `stop` ends receiving; what runs may finish within `drain_s` and is then given
back. Being cancelled means the grace is over: children are killed, what was unfinished is given back.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, repeat

from msgspec.structs import replace

from headrace.contracts.messages import Goodbye, Hello, Message, Vitals, encode
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import Parcel, Sent
from headrace.gpu_worker.artefacts import Artefacts
from headrace.gpu_worker.attempts import Attempts, Why
from headrace.gpu_worker.calls import Calls
from headrace.gpu_worker.checkup import Checkup
from headrace.gpu_worker.devices import Devices
from headrace.gpu_worker.gate import Gate
from headrace.gpu_worker.gpus import GpuWatch, open_nvml
from headrace.gpu_worker.heartbeats import Heartbeater
from headrace.gpu_worker.host.batcher import Batcher
from headrace.gpu_worker.host.keeper import Keeper
from headrace.gpu_worker.measuring import measure
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.post import Post
from headrace.gpu_worker.reports import Reports
from headrace.gpu_worker.slot import Desk, Slot
from headrace.gpu_worker.starts import Starts
from headrace.gpu_worker.waiting import pauses, rings, until
from headrace.gpu_worker.waits import told
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker")


class Worker:
    name = "gpu-worker"

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._attempts = Attempts()
        self._news = asyncio.Event()
        self._gate = gate = Gate()
        self._gpus = GpuWatch(open_nvml)
        self._heartbeater = Heartbeater(
            options, self._attempts, gate, slots=self._ready_slots, vitals=self._vitals
        )
        reports = Reports(options)
        calls = Calls(options.monotonic, options.limits.call_s)
        post = Post(obey=self._heartbeater.obey, give_back=reports.give_back, called=calls.hear)
        self._post = post
        desk = Desk(
            options,
            self._attempts,
            post,
            reports,
            self._heartbeater,
            self._news,
            gate,
            Artefacts(options),
            Devices(options.devices),
            Starts(os.cpu_count() or 1),
            calls,
        )
        self._batchers: list[Batcher] = []
        self._slots = list(self._made(desk))

    def _made(self, desk: Desk) -> Iterator[Slot]:
        """Those that want a GPU take turns over what there is, whatever their lanes.

        Where an engine does several jobs in one go, all slots of its lane have one child.
        """
        options, changed = desk.options, desk.heartbeater.soon
        turns = repeat(None) if options.gpus is None else cycle(options.gpus or [""])
        for lane in options.lanes:
            if lane.batches:
                gpu = next(turns) if lane.on_gpu else None
                self._batchers.append(batcher := Batcher(lane, options.limits, changed, gpu))
                yield from (Slot(lane, desk, seat, gpu) for seat in batcher.seats)
                continue
            for _ in range(lane.slots):
                gpu = next(turns) if lane.on_gpu else None
                yield Slot(lane, desk, Keeper(lane, options.limits, changed, gpu), gpu)

    async def serve(self, stop: asyncio.Event) -> None:
        options = self._options
        if not await until(stop, self._declared()):
            return
        _log.info("worker.started", worker=options.worker, slots=len(self._slots))
        try:
            with self._gpus.running():
                await self._work(stop)
        finally:
            await self._leave()
        _log.info("worker.stopped", worker=options.worker)

    async def _work(self, stop: asyncio.Event) -> None:
        async with (
            self._options.bus.mailbox(self._options.mailbox) as letters,
            asyncio.TaskGroup() as background,
        ):
            loops = [
                background.create_task(self._post.open_all(letters)),
                background.create_task(self._heartbeater.beat()),
                background.create_task(self._introduce()),
                background.create_task(self._drain(stop)),
                background.create_task(measure(self._slots, self._gpus)),
                *(background.create_task(batcher.serve()) for batcher in self._batchers),
            ]
            await self._serve_slots(stop)
            for loop in loops:
                loop.cancel()

    async def _serve_slots(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                group.create_task(slot.serve(stop))

    async def _declared(self) -> bool:
        """Whoever comes first declares. Raises Misconfigured where a person has to help."""
        topology = self._options.topology
        queues = [topology.claims, topology.heartbeats, topology.results]
        queues += [topology.work(lane.lane) for lane in self._options.lanes]
        for pause_s in self._pauses():
            try:
                await self._options.bus.declare(queues)
            except Unavailable as error:
                _log.warning("worker.bus_unavailable", error=str(error))
                await asyncio.sleep(pause_s)
            else:
                break
        return True

    async def _introduce(self) -> None:
        """Say hello when a slot became ready or ceased to be, and now and then: only what runs here.

        Engines that nobody announces any more leave the catalog in time.
        """
        while True:
            hello_s = self._options.limits.hello_s
            await rings(self._news, hello_s * (0.75 + self._options.random.random() / 2))
            self._news.clear()
            for pause_s in self._pauses():
                if await self._send(self._hello()) is Sent.KEPT:
                    break
                await asyncio.sleep(pause_s)

    def _hello(self) -> Hello:
        slots = self._ready_slots()
        cards = [lane.card for lane in self._options.lanes if lane.lane in slots]
        return Hello(worker=self._options.worker, slots=slots, engines=cards)

    def _ready_slots(self) -> dict[str, int]:
        return dict(Counter(str(slot.lane.lane) for slot in self._slots if slot.ready))

    async def _drain(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._gate.stop()
        _log.info("worker.draining", within_s=self._options.limits.drain_s)
        await asyncio.sleep(self._options.limits.drain_s)
        self._attempts.end_all(Why.DRAINED)

    async def _leave(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.limits.farewell_s):
                await self._send(Goodbye(worker=self._options.worker))

    def _vitals(self, order_s: float | None) -> Vitals:
        vitals = Checkup(self._slots, self._gate, self._gpus).vitals(order_s)
        waits = told(self._attempts, self._options.monotonic())
        return replace(vitals, waits=waits, at=self._options.at)

    def _pauses(self) -> Iterator[float]:
        limits = self._options.limits
        return pauses(self._options.random, first_s=0.5, cap_s=limits.retry_cap_s)

    async def _send(self, message: Message) -> Sent:
        parcel = Parcel(self._options.topology.heartbeats, encode(message))
        (sent,) = await self._options.bus.send([parcel])
        return sent
