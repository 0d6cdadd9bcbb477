"""The producers loop: a turn goes through all, and nobody is lost whom an outage has kept silent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import START, WorkerId
from headrace.contracts.producing import OUTSIDE, End
from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.core.job import Job, State
from headrace.core.ports.producers import Seen
from headrace.core.ports.store import Store
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.loops import Wake
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.producing import ProducersDesk
from headrace.testkit.deciding import PATH, put, read
from headrace.testkit.fake_producers import FakeProducers

ALIVE = Seen(epoch=1, producer=WorkerId("celery-1"), alive=True)
SILENT = replace(ALIVE, alive=False)


@dataclass
class Desk:
    """A desk, and a clock that the test sets."""

    store: Store
    ports: Ports
    producers: FakeProducers = field(default_factory=FakeProducers)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        options = DispatcherOptions(path=PATH, batch=2, monotonic=lambda: self.now)
        attendance = Attendance(self.store, options, Wake())
        self.desk = ProducersDesk(self.ports, self.producers, options, attendance)

    async def turns(self, limit: int = 20) -> None:
        """Until nothing moves any more."""
        for _ in range(limit):
            if not await self.desk.turn():
                return
        raise AssertionError("it never comes to rest")

    async def running(self) -> Job:
        job = await put(self.store, lane=OUTSIDE)
        self.producers.seen[job.id] = ALIVE
        await self.turns()
        return await read(self.store, job.id)

    async def state(self, job: Job) -> State:
        return (await read(self.store, job.id)).state


@pytest.fixture
async def desk(store: Store, tmp_path: Path) -> Any:
    async with open_file_blobs(tmp_path / "blobs") as blobs:
        bus, streams = InProcessBus(Topology("test")), InProcessStreams()
        yield Desk(store, Ports(store, bus, streams, blobs))


async def test_every_task_has_its_turn_however_many_there_are(desk: Desk) -> None:
    jobs = [await desk.running() for _ in range(7)]
    for job in jobs:
        desk.producers.seen[job.id] = replace(ALIVE, end=End("succeeded", output={}))

    await desk.turns()

    assert {await desk.state(job) for job in jobs} == {State.SUCCEEDED}


async def test_the_terminal_frame_is_said(desk: Desk) -> None:
    job = await desk.running()
    desk.producers.seen[job.id] = replace(ALIVE, end=End("succeeded", output={"text": "a"}))

    await desk.turns()

    page = await desk.ports.streams.read(job.id, START, limit=10)
    assert [(str(each.position), each.type) for each in page.entries] == [("2-1", "succeeded")]


async def test_who_is_silent_has_a_moment_after_an_outage_and_no_more(desk: Desk) -> None:
    job = await desk.running()
    desk.now += 60
    desk.producers.away = True
    with pytest.raises(Unavailable):
        await desk.desk.turn()
    desk.producers.away, desk.producers.seen[job.id] = False, SILENT

    await desk.turns()
    assert await desk.state(job) is State.RUNNING
    desk.now += 6
    await desk.turns()
    assert await desk.state(job) is State.FAILED


async def test_a_dispatcher_that_has_just_begun_judges_nobody(desk: Desk) -> None:
    job = await desk.running()
    desk.producers.seen[job.id] = SILENT
    later = Desk(desk.store, desk.ports, desk.producers, desk.now)

    await later.turns()

    assert await later.state(job) is State.RUNNING


async def test_what_is_too_large_for_a_row_is_a_blob(desk: Desk) -> None:
    job = await desk.running()
    text = "x" * 100_000
    desk.producers.seen[job.id] = replace(ALIVE, end=End("succeeded", output={"text": text}))

    await desk.turns()

    output = (await read(desk.store, job.id)).output or {}
    kept = await desk.ports.blobs.get(job.tenant, output["output_blob"])
    assert text.encode() in kept.data
