"""The map of a cluster, shared by all who look something up in it: asked for anew when somebody finds it wrong.

One caller at a time asks, and not too often; meanwhile the others go by the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from random import Random
from typing import Final

from headrace.adapters.redis.commands import Commands
from headrace.adapters.redis.slots import Node, Owners, node_in, read_owners, uncovered, url_of
from headrace.contracts.logs import each_node
from headrace.core.errors import Unavailable

FIRST_AGAIN_S: Final = 0.2
LONGEST_AGAIN_S: Final = 2.0  # while a node is down and nobody takes its place, as everybody finds
ASKED_AT_ONCE: Final = 3
CLUSTER_SLOTS: Final = ("CLUSTER", "SLOTS")

_jitter = Random()  # spreads retries, guards nothing


class SlotMap:
    """`url` names some of the nodes, and says how all of them are connected to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._owners: Owners = []
        self._learning = asyncio.Lock()
        self._again_at = 0.0
        self._in_vain = 0  # so many times in turn it was found as before, or not at all
        self.doubted = True
        self.on_change: list[Callable[[], None]] = []  # called when slots have moved

    async def owner(self, slot: int) -> Node:
        """Raises Unavailable when nobody has it, and while there has never been a map."""
        await self.learn()
        if (node := self._owners[slot]) is None:
            self.doubt()
            raise Unavailable("Redis", f"no node of the cluster has slot {slot}")
        return node

    def owner_now(self, slot: int) -> Node | None:
        """By the map that there is."""
        return self._owners[slot] if self._owners else None

    @property
    def nodes(self) -> list[Node]:
        """Those that have slots."""
        return sorted(set(filter(None, self._owners)))

    @property
    def uncovered(self) -> str:
        return uncovered(self._owners)

    def count(self, node: Node) -> int:
        return self._owners.count(node)

    def doubt(self) -> None:
        """Somebody was not where the map has it."""
        self.doubted = True

    def moved(self, slot: int, node: Node) -> None:
        """What a node said of one slot; what else has moved is asked for."""
        self.doubt()
        if self._owners and self._owners[slot] != node:
            self._owners[slot] = node
            self._changed()

    async def learn(self, *, at_once: bool = False) -> None:
        """Ask for it if it is in doubt. Raises Unavailable while there has never been one."""
        if self.doubted and not (self._owners and self._learning.locked()):
            async with self._learning:
                if self._is_due(at_once=at_once):
                    calm = _now() > self._again_at + LONGEST_AGAIN_S
                    self._in_vain = 0 if calm else self._in_vain + 1
                    await self._learn()

    def _is_due(self, *, at_once: bool) -> bool:
        """Somebody may have asked while we waited."""
        return self.doubted and (not self._owners or at_once or _now() >= self._again_at)

    async def _learn(self) -> None:
        try:
            found = await self._asked()
        except Unavailable:
            if not self._owners:
                raise
        else:
            self.doubted = False
            self._take(found)
        ceiling = min(LONGEST_AGAIN_S, FIRST_AGAIN_S * 2 ** min(self._in_vain, 10))
        self._again_at = _now() + _jitter.uniform(ceiling / 2, ceiling)

    def _take(self, found: Owners) -> None:
        before, self._owners = self._owners, found
        if before and before != found:
            self._changed()

    def _changed(self) -> None:
        self._in_vain = 0
        for tell in self.on_change:
            tell()

    async def _asked(self) -> Owners:
        """By a few that had slots; without an answer, by those that the URL names."""
        known = [url_of(node, self._url) for node in self.nodes]
        try:
            return await _first_answer(known)
        except Unavailable:
            return await _first_answer(each_node(self._url))


async def _first_answer(urls: Sequence[str]) -> Owners:
    """From any of them: a frozen one holds nobody up. Raises Unavailable when none answers."""
    found: list[Owners] = []
    errors = [Unavailable("Redis", "no node of the cluster is known")]

    async def ask(url: str) -> None:
        try:
            with closing(Commands(url)) as connection:
                (ranges,) = await connection.send([CLUSTER_SLOTS])
        except Unavailable as error:
            errors.append(error)
            return
        found.append(read_owners(ranges, node_in(url)))
        for other in asked - {asyncio.current_task()}:
            other.cancel()

    async with asyncio.TaskGroup() as tasks:
        some = _jitter.sample(urls, min(ASKED_AT_ONCE, len(urls)))
        asked = {tasks.create_task(ask(url)) for url in some}
    if not found:
        raise errors[-1]
    return found[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
