"""What a dispatcher needs to know, as plain values."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from secrets import token_bytes

from headrace.core.pipeline import Pipeline
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.bus import Bus
from headrace.core.ports.producers import Producers
from headrace.core.ports.receivers import Receivers
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.retry import RetryPolicy
from headrace.core.rollout import Basis
from headrace.core.usecases.admit import Caps
from headrace.core.usecases.call_receivers import Pool
from headrace.core.usecases.gather import Patience
from headrace.core.usecases.purge import Kept
from headrace.core.usecases.release import Window
from headrace.core.usecases.schedules import Missed
from headrace.core.webhook_signing import SECRET_BYTES, secret_of


@dataclass(frozen=True, slots=True)
class Chance:
    """Where it takes what it cannot know from: jitter, new ids and secrets."""

    random: Random
    new_id: Callable[[], str]
    new_secret: Callable[[], str] = field(default=lambda: secret_of(token_bytes(SECRET_BYTES)))


@dataclass(frozen=True, slots=True)
class Ports:
    """What it speaks through."""

    store: Store
    bus: Bus
    streams: Streams
    blobs: Blobs
    producers: Producers | None = None  # None: nobody outside can reach the streams
    receivers: Receivers | None = None  # None: this one calls nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    path: str  # its own; see attendance.py for when it serves another
    basis: Basis | None = None  # of the rollout; None: new jobs of old ones stay on their path
    lease: timedelta = timedelta(seconds=30)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    window: Window = field(default_factory=Window)
    gathering: Patience = field(default_factory=Patience)  # with workers who run a job together
    prefers_warm: bool = True  # workers that have a job's model loaded, for so long as it pays
    poll: timedelta = timedelta(seconds=1)  # the release loop, when no hint comes
    sweep_every: timedelta = timedelta(seconds=5)
    reoffer_after: timedelta = timedelta(seconds=20)
    turn_limit: timedelta = timedelta(seconds=10)
    batch: int = 200
    producers_heard_within: timedelta = timedelta(seconds=5)  # after Redis was away
    missed: Missed = "once"  # what becomes of schedules whose time passed while nobody ran
    caps: Caps = field(default_factory=Caps)  # for the jobs that schedules make
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)  # that schedules begin
    kept: Kept = field(default_factory=Kept)
    purge_every: timedelta = timedelta(minutes=1)
    guard_every: timedelta = timedelta(seconds=5)
    shadows_every: timedelta = timedelta(seconds=2)
    calls: Pool = field(default_factory=Pool)  # to receivers of webhooks, at once
    calls_every: timedelta = timedelta(seconds=0.5)
    call_lease: timedelta = timedelta(seconds=30)  # above what one call may take, 17 s
    collect_every: timedelta = timedelta(hours=1)  # blobs that nobody names
    monotonic: Callable[[], float] = time.monotonic
