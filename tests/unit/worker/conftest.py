"""A worker with real children, in-process bus and streams, and a dispatcher that obeys the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import count

import pytest

from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.topology import Topology
from headrace.engines.registry import card
from headrace.gpu_worker.options import LaneOptions, Limits, WorkerOptions
from headrace.testkit.background import served
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.play import ENGINE, PlayEngine


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def options(blobs: MemoryBlobs) -> WorkerOptions:
    numbers = count(1)
    topology = Topology("test")
    return WorkerOptions(
        bus=InProcessBus(topology),
        streams=InProcessStreams(),
        blobs=blobs,
        topology=topology,
        worker=WorkerId("worker-1"),
        lanes=[LaneOptions(card=card(Lane("play"), PlayEngine), engine=ENGINE, preload="calm")],
        new_id=lambda: f"id-{next(numbers)}",
        limits=Limits(claim_answer_s=0.2, cancel_grace_s=0.3, drain_s=10.0, retry_cap_s=0.2),
    )


@pytest.fixture
async def dispatcher(options: WorkerOptions) -> AsyncGenerator[ScriptedDispatcher]:
    scripted = ScriptedDispatcher(options.bus, options.streams, options.topology)
    async with served(scripted.serve):
        yield scripted
