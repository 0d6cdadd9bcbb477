"""From settings to recipes: how each port is opened, chosen once, opened only where it is needed.

Drivers are imported inside the recipes, so that an image without one can run the roles that do not
need it. Only the bus follows the mode; the rest is chosen by its URL.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, assert_never

from headrace.contracts.topology import Topology
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.bus import Bus
from headrace.core.ports.producers import Producers
from headrace.core.ports.receivers import Receivers
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.ports.tickets import Tickets
from headrace.telemetry.bus import Place, TracedBus
from headrace.telemetry.store import WatchedStore
from headrace.telemetry.streams import WatchedStreams
from headrace.wiring.modes import Mode
from headrace.wiring.settings import Settings

OpenBus: TypeAlias = Callable[[], AbstractAsyncContextManager[Bus]]
OpenStreams: TypeAlias = Callable[[], AbstractAsyncContextManager[Streams]]
OpenProducers: TypeAlias = Callable[[], AbstractAsyncContextManager[Producers | None]]
OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
OpenBlobs: TypeAlias = Callable[[], AbstractAsyncContextManager[Blobs]]
OpenReceivers: TypeAlias = Callable[[], AbstractAsyncContextManager[Receivers]]
OpenTickets: TypeAlias = Callable[[], AbstractAsyncContextManager[Tickets]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Recipes, not connections."""

    topology: Topology
    bus: OpenBus
    streams: OpenStreams
    producers: OpenProducers
    store: OpenStore
    blobs: OpenBlobs
    tickets: OpenTickets
    receivers: OpenReceivers


def wiring_for(settings: Settings) -> Wiring:
    topology = Topology(settings.namespace)
    return Wiring(
        topology=topology,
        bus=_bus(settings, topology),
        streams=_streams(settings),
        producers=_producers(settings),
        store=partial(_open_store, settings),
        blobs=partial(_open_blobs, settings),
        tickets=_tickets(settings),
        receivers=partial(_open_receivers, settings),
    )


async def migrate(settings: Settings) -> None:
    """Bring the store's schema up to date; one process does it, the others wait."""
    from headrace.adapters.store.sql.migrate import migrate as migrate_sql

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await migrate_sql(settings.store_url)


def _bus(settings: Settings, topology: Topology) -> OpenBus:
    match settings.execution_mode:
        case Mode.EDA:
            return partial(_open_rabbit, settings, topology)
        case Mode.MONOLITH:
            from headrace.adapters.bus.inprocess.bus import InProcessBus

            # One for every role of this process.
            shared: Bus = TracedBus(InProcessBus(topology), Place("headrace", topology))
            return lambda: nullcontext(shared)
        case _:
            assert_never(settings.execution_mode)


def _streams(settings: Settings) -> OpenStreams:
    if settings.redis_url.get_secret_value():
        return partial(_open_redis, settings)
    from headrace.adapters.streams.inprocess.streams import InProcessStreams

    shared: Streams = WatchedStreams(InProcessStreams(ttl_s=settings.stream_ttl_s))
    return lambda: nullcontext(shared)


def _producers(settings: Settings) -> OpenProducers:
    """Nobody outside reaches streams that stay in this process."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return lambda: nullcontext(None)
    from headrace.adapters.streams.redis.producers import open_redis_producers

    return partial(
        open_redis_producers, url, prefix=settings.namespace, ttl_s=settings.stream_ttl_s
    )


def _tickets(settings: Settings) -> OpenTickets:
    if url := settings.redis_url.get_secret_value():
        from headrace.adapters.tickets.redis.tickets import open_redis_tickets

        return partial(open_redis_tickets, url, prefix=settings.namespace)
    from headrace.adapters.tickets.inprocess.tickets import InProcessTickets

    shared: Tickets = InProcessTickets()
    return lambda: nullcontext(shared)


@asynccontextmanager
async def _open_rabbit(settings: Settings, topology: Topology) -> AsyncGenerator[Bus]:
    from headrace.adapters.bus.rabbitmq.bus import open_rabbit_bus

    url = settings.rabbitmq_url.get_secret_value()
    async with open_rabbit_bus(url, topology=topology, connection_name=topology.namespace) as bus:
        yield TracedBus(bus, Place("rabbitmq", topology))


@asynccontextmanager
async def _open_redis(settings: Settings) -> AsyncGenerator[Streams]:
    from headrace.adapters.streams.redis.streams import open_redis_streams

    url = settings.redis_url.get_secret_value()
    async with open_redis_streams(
        url, prefix=settings.namespace, ttl_s=settings.stream_ttl_s
    ) as streams:
        yield WatchedStreams(streams)


@asynccontextmanager
async def _open_store(settings: Settings) -> AsyncGenerator[Store]:
    from headrace.adapters.store.sql.store import open_sql_store

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with open_sql_store(settings.store_url) as store:
        postgresql = settings.store_url.startswith("postgres")
        yield WatchedStore(store, "postgresql" if postgresql else "sqlite")


@asynccontextmanager
async def _open_blobs(settings: Settings) -> AsyncGenerator[Blobs]:
    if settings.blobs_url.startswith("s3://"):
        from headrace.adapters.blobs.s3.blobs import open_s3_blobs

        async with open_s3_blobs(
            settings.blobs_url,
            endpoint=settings.s3_endpoint or None,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key.get_secret_value(),
        ) as blobs:
            yield blobs
        return
    from headrace.adapters.blobs.files.blobs import open_file_blobs

    root = settings.blobs_url.removeprefix("file://") or settings.data_dir / "blobs"
    async with open_file_blobs(root) as files:
        yield files


@asynccontextmanager
async def _open_receivers(settings: Settings) -> AsyncGenerator[Receivers]:
    from headrace.adapters.receivers.http.receivers import open_http_receivers

    async with open_http_receivers(settings.reach) as receivers:
        yield receivers
