"""What a worker is given: the ports it speaks through, its lanes and its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.messages import EngineCard
from headrace.contracts.topology import Topology
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.bus import Bus
from headrace.core.ports.streams import Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """One engine and how many children run it. Plain data: only the child sets the engine up."""

    card: EngineCard
    slots: int = 1
    preload: str | None = None  # the model to load at start; None: with the first job
    memory_mib: int | None = None  # for models, of all its slots together; None: what there is
    process_mib: int | None = None  # that each slot's child may hold; None: what there is
    settings: Mapping[str, str] = field(default_factory=dict)  # for the engine's `configure`
    batch_most: int = 1  # jobs that its engine does in one go; then the slots share one child
    batch_window_s: float = 0.0  # for how long the first of a batch waits for others
    gang: bool = False  # its jobs say how many devices they want, and get them together
    on_gpu: bool = False  # each of its children is given one, where there are any to give
    engine: str = ""  # 'package.module:Class'; empty: whom the entry point of this lane names

    @property
    def lane(self) -> Lane:
        return self.card.lane

    @property
    def batches(self) -> bool:
        return self.batch_most > 1 and self.slots > 1

    @property
    def model_bytes(self) -> int | None:
        """What each of its children may have loaded."""
        children = 1 if self.batches else self.slots
        return None if self.memory_mib is None else self.memory_mib * 2**20 // children

    @property
    def process_bytes(self) -> int | None:
        return None if self.process_mib is None else self.process_mib * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every wait of the worker, in seconds."""

    lease_s: float = 30.0  # until the dispatcher says otherwise; heartbeats come three to a lease
    heartbeat_s: float = 10.0  # or this often: who is silent for half a minute is taken for gone
    trust_margin_s: float = 5.0  # a job stops itself so long before its lease ends
    hello_s: float = 600.0  # between two hellos, when nothing has changed
    claim_answer_s: float = 2.0  # the first wait for a grant; doubles, up to ten times
    claim_patience_s: float = 300.0  # then the offer goes back; far below any broker's ack timeout
    cancel_grace_s: float = 5.0  # from 'please stop' to the end of the child
    drain_s: float = 60.0  # what running jobs are given to finish when the worker stops
    spawn_s: float = 30.0
    load_s: float = 600.0
    artefact_s: float = 1800.0  # to download one; what has come is kept for the next try
    aside_s: float = 0.15  # left to a worker that has the model loaded, at most
    blobs_s: float = 60.0  # to fetch all of a job's inputs, or to store all of its outputs
    checkpoint_s: float = 1.0  # between two checkpoints of one job; those in between are skipped
    gather_s: float = 90.0  # that a slot waits for a gang's other workers
    call_s: float = 5.0  # for which a call counts that nobody has answered yet; it comes again
    first_word_s: float = 3.0  # left to the first of a gang, to say what it failed of
    devices_s: float = 600.0  # that a gang waits for its devices; then its job goes back at no cost
    memory_s: float = 0.25  # between two looks at what an engine's process holds
    append_s: float = 2.0
    flush_s: float = 2.0  # for the last frames, before the result is sent
    retry_cap_s: float = 10.0
    farewell_s: float = 3.0  # for one last message, when the grace is over


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Everything a `Worker` is built from."""

    bus: Bus
    streams: Streams
    blobs: Blobs
    topology: Topology
    worker: WorkerId
    lanes: Sequence[LaneOptions]
    new_id: Callable[[], str]
    models: Path = Path("var/models")  # where artefacts of registered models are kept
    models_mib: int = 20_480  # that they may take
    devices: Sequence[str] = ()  # for gangs; empty names: so many processes on CPUs
    at: str | None = None  # the host where other workers meet this one; None: it joins no gang
    gpus: Sequence[str] | None = None  # to give to children in turn; None: they see what we see
    limits: Limits = field(default_factory=Limits)
    monotonic: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=Random)

    @property
    def mailbox(self) -> str:
        return self.topology.mailbox(self.worker)
