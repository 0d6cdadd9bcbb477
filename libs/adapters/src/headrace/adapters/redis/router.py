"""The way to a key, whether the URL names a server or a node of a cluster: it says so as it greets.

To a server it is one connection, as `Commands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.adapters.redis.cluster import Cluster
from headrace.adapters.redis.commands import Command, Commands, First, nothing
from headrace.adapters.redis.slot_map import SlotMap
from headrace.core.errors import Unavailable


class Router:
    """`first` loads the scripts that commands name. `slots`: a map that others look into, too."""

    def __init__(self, url: str, *, first: First = nothing, slots: SlotMap | None = None) -> None:
        self._server = Commands(url, first=first)
        self._first = first
        self._cluster = Cluster(slots or SlotMap(url), url, first=first)

    async def is_clustered(self) -> bool:
        """As it was last seen. Raises Unavailable while nobody has ever answered."""
        return await self._server.is_clustered()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order; each command's key says where it goes. Raises Unavailable."""
        if await self.is_clustered():
            return await self._cluster.send(commands)
        try:
            return await self._server.send(commands)
        except Unavailable as error:
            if not error.why.startswith("NOSCRIPT"):
                raise
            first = self._first(clustered=False)
            return (await self._server.send([*first, *commands]))[len(first) :]

    async def everywhere(self, command: Command) -> list[Any]:
        """Its answers at the server, or at every node that has slots. Raises Unavailable."""
        if not await self.is_clustered():
            return await self._server.send([command])
        told = await self._cluster.everywhere(command)
        for node, answer in told.items():
            if isinstance(answer, Exception):
                raise Unavailable("Redis", f"{node}: {answer}") from answer
        return list(told.values())

    async def ping(self) -> None:
        """Raises Unavailable."""
        if await self.is_clustered():
            await self._cluster.ping()
        else:
            await self._server.send([("PING",)])

    def close(self) -> None:
        self._server.close()
        self._cluster.close()
