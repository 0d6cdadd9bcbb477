"""A house on a real SQLite file and the in-process bus and streams, and a worker to play with."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.core.ports.store import Store
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.scripted_worker import ScriptedWorker, scripted_worker
from headrace.testkit.unruly import UnrulyStore


@pytest.fixture
def house(store: Store) -> House:
    return House(UnrulyStore(store), InProcessBus(TOPOLOGY), InProcessStreams())


@pytest.fixture
async def worker(house: House) -> AsyncGenerator[ScriptedWorker]:
    async with scripted_worker(house.bus, TOPOLOGY) as worker:
        yield worker
