"""Facts about the dependencies in force, for `headrace doctor`: asked, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.wiring.settings import Settings

if TYPE_CHECKING:
    from headrace.adapters.bus.rabbitmq.bus import RabbitBus
    from headrace.adapters.streams.redis.streams import StreamFacts

_NO_SUCH_QUEUE: Final = "there is no such queue"


@dataclass(frozen=True, slots=True)
class BusFacts:
    version: str
    queues: int  # of ours that are there, as they should be
    missing: tuple[str, ...]  # made when the first dispatcher starts


async def inspect_store(settings: Settings) -> tuple[str | None, str]:
    """The schema it has, None for none, and the one needed. Raises Unavailable, Misconfigured."""
    from headrace.adapters.store.sql.migrate import revisions

    return await revisions(settings.store_url)


async def inspect_bus(settings: Settings) -> BusFacts:
    """Raises Unavailable; Misconfigured when a queue differs or may not be declared."""
    from headrace.adapters.bus.rabbitmq.bus import open_rabbit_bus

    topology = Topology(settings.namespace)
    url = settings.rabbitmq_url.get_secret_value()
    async with open_rabbit_bus(
        url, topology=topology, connection_name=f"{topology.namespace} doctor"
    ) as bus:
        names = (topology.dead, topology.claims, topology.heartbeats, topology.results)
        missing = [name for name in names if not await _is_there(bus, name)]
        if topology.dead not in missing:  # declaring any of them would make that one
            await bus.declare([name for name in names if name not in missing])
        await bus.ping()
        version = ".".join(str(part) for part in bus.broker_version)
        return BusFacts(version, len(names) - len(missing), tuple(missing))


async def inspect_streams(settings: Settings) -> StreamFacts:
    """Raises Unavailable, also for a cluster that does not serve every slot."""
    from headrace.adapters.streams.redis.streams import open_redis_streams

    url = settings.redis_url.get_secret_value()
    async with open_redis_streams(url, prefix=settings.namespace) as streams:
        return await streams.facts()


async def _is_there(bus: RabbitBus, queue: str) -> bool:
    try:
        await bus.depth(queue)
    except Unavailable as error:
        if error.why == _NO_SUCH_QUEUE:
            return False
        raise
    return True
