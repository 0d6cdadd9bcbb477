"""What surrounds a dispatcher in a test, and dispatchers to put there."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus
from headrace.core.ports.streams import Streams
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.release import Window
from headrace.dispatcher.options import Chance, DispatcherOptions, Ports
from headrace.dispatcher.role import Dispatcher
from headrace.testkit.background import Served, served
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import PATH
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.unruly import UnrulyStore

TOPOLOGY = Topology("test")
OPTIONS = DispatcherOptions(
    path=PATH,
    lease=timedelta(seconds=30),
    retry=RetryPolicy(base=timedelta(milliseconds=1)),
    window=Window(reserve_for=timedelta(milliseconds=50)),
    poll=timedelta(milliseconds=50),
    sweep_every=timedelta(milliseconds=50),
)


@dataclass
class House:
    store: UnrulyStore
    bus: Bus
    streams: Streams
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)

    def dispatching(self, **options: Any) -> AbstractAsyncContextManager[Served]:
        ports = Ports(self.store, self.bus, self.streams, self.blobs)
        asked = replace(OPTIONS, **options)
        dispatcher = Dispatcher(ports, TOPOLOGY, asked, Chance(Random(1), a_job_id))
        return served(dispatcher.serve)
