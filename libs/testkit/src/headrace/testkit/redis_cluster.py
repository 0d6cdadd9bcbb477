"""A private Redis Cluster on this machine: how it is made, where a key is, and how a slot moves while it is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis.crc import key_slot

from headrace.adapters.redis.commands import Commands
from headrace.testkit.own import redis_daemon, running
from headrace.testkit.servers import Server
from headrace.testkit.waits import eventually

SLOTS: Final = 16384
BUS_OFFSET: Final = 10_000  # Redis' own habit: its port, plus this much, is where nodes meet
FAILOVER_AFTER_MS: Final = 1000  # where there is a replica
PATIENCE_MS: Final = (
    5000  # where there is none, and a busy machine should not look like a dead node
)
MEET_WITHIN_S: Final = 60.0
# A slot range that nobody serves must not take the others along; a replica takes over without delay.
NODE: Final = (
    *("--cluster-enabled", "yes"),
    *("--cluster-require-full-coverage", "no"),
    *("--repl-diskless-sync-delay", "0"),
)


@dataclass(frozen=True, slots=True)
class RedisCluster:
    """`masters` share the slots evenly; each of `replicas` follows the master of its place."""

    masters: Sequence[Server]
    replicas: Sequence[Server]

    @property
    def url(self) -> str:
        """It names every master, so that any of them may be down."""
        nodes = (f"{host}:{port}" for host, port in map(address, self.masters))
        return f"redis://{','.join(nodes)}/0"

    async def owner(self, key: str) -> Server:
        return (await self._owners())[key_slot(key.encode())]

    async def another(self, key: str) -> Server:
        """A master that does not have it."""
        owner = await self.owner(key)
        return next(server for server in self.masters if server.url != owner.url)

    async def begin_move(self, key: str, to: Server) -> None:
        """From now on what is new in its slot is made there."""
        slot, owner = key_slot(key.encode()), await self.owner(key)
        await ask(to, "CLUSTER SETSLOT", slot, "IMPORTING", await _name(owner))
        await ask(owner, "CLUSTER SETSLOT", slot, "MIGRATING", await _name(to))

    async def carry_keys(self, key: str, to: Server) -> None:
        slot, owner = key_slot(key.encode()), await self.owner(key)
        host, port = address(to)
        while keys := await ask(owner, "CLUSTER GETKEYSINSLOT", slot, 100):
            await ask(owner, "MIGRATE", host, port, "", 0, 5000, "KEYS", *keys)

    async def end_move(self, key: str, to: Server) -> None:
        """The one it goes to knows first, as the documents ask for."""
        slot, name = key_slot(key.encode()), await _name(to)
        others = [server for server in self.masters if server.url != to.url]
        for server in (to, *others):
            await ask(server, "CLUSTER SETSLOT", slot, "NODE", name)

    async def _owners(self) -> dict[int, Server]:
        """By who says so of itself, among those that answer."""
        found: dict[int, Server] = {}
        for server in (*self.masters, *self.replicas):
            if server.is_running():
                found |= dict.fromkeys(await _own_slots(server), server)
        return found


@asynccontextmanager
async def own_redis_cluster(tmp: Path, *, replicas: bool = False) -> AsyncGenerator[RedisCluster]:
    """Three masters, and with `replicas` one beside each."""
    async with AsyncExitStack() as stack:
        timeout_ms = FAILOVER_AFTER_MS if replicas else PATIENCE_MS
        options = (*NODE, "--cluster-node-timeout", str(timeout_ms))

        async def one() -> Server:
            daemon = redis_daemon(tmp, more=options, beside=(BUS_OFFSET,))
            return await stack.enter_async_context(running(daemon))

        masters = [await one() for _ in range(3)]
        copies = [await one() for _ in masters] if replicas else []
        cluster = RedisCluster(masters, copies)
        await _meet(cluster)
        yield cluster


async def ask(server: Server, verb: str, *words: str | int | bytes) -> Any:
    """One command, on a connection for this alone."""
    with closing(Commands(server.url)) as connection:
        (answer,) = await connection.send([(*verb.split(), *words)])
    return answer


def address(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return str(parts.hostname), int(parts.port or 0)


async def _meet(cluster: RedisCluster) -> None:
    first, *others = (*cluster.masters, *cluster.replicas)
    share = -(-SLOTS // len(cluster.masters))
    for nth, master in enumerate(cluster.masters):
        last = min(SLOTS, (nth + 1) * share) - 1
        await ask(master, "CLUSTER ADDSLOTSRANGE", nth * share, last)
        await ask(master, "CLUSTER SET-CONFIG-EPOCH", nth + 1)
    await eventually(partial(_have_met, first, others), within=MEET_WITHIN_S, every=0.5)
    for master, replica in zip(cluster.masters, cluster.replicas, strict=False):
        await ask(replica, "CLUSTER REPLICATE", await _name(master))
    for replica in cluster.replicas:
        await eventually(partial(_has_copied, replica), within=MEET_WITHIN_S)


async def _have_met(first: Server, others: Sequence[Server]) -> bool:
    """Introduced again until then: of a handshake that takes longer than the node timeout nothing stays."""
    told: list[bytes] = [await ask(each, "CLUSTER INFO") for each in (first, *others)]
    known = b"known_nodes:%d\r" % len(told)
    for server, info in zip(others, told[1:], strict=True):
        if known not in info:
            await ask(first, "CLUSTER MEET", *address(server))
    return all(known in info and b"state:ok" in info for info in told)


async def _has_copied(replica: Server) -> bool:
    return b"master_link_status:up" in await ask(replica, "INFO", "replication")


async def _name(server: Server) -> bytes:
    return bytes(await ask(server, "CLUSTER MYID"))


async def _own_slots(server: Server) -> list[int]:
    """As the line of `myself` has them: `... myself,master - 0 0 1 connected 0-5460 9000`."""
    told: bytes = await ask(server, "CLUSTER NODES")
    line = next(line for line in told.decode().splitlines() if "myself" in line)
    found: list[int] = []
    for words in line.split()[8:]:
        first, _, last = words.partition("-")
        if first.isdigit():  # else a slot that is on its way
            found += range(int(first), int(last or first) + 1)
    return found
