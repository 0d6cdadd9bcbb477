"""Subscriptions in a cluster: one connection for each node, and channels that go where their slots go.

A node lets go of a channel whose slot has moved, and does not say where it is now; one that is dead says nothing at all.
So at every sign of trouble the map is asked for, and what is followed goes to the node that has its slot by then.
Who follows it waits on, and is told to look at the log once it is there.
"""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import Final

from headrace.adapters.redis.slot_map import SlotMap
from headrace.adapters.redis.slots import Node, read_redirection, slot_of, url_of
from headrace.adapters.streams.buffer import Buffer
from headrace.adapters.streams.redis.following import Topic
from headrace.adapters.streams.redis.live import Live, Words
from headrace.core.errors import Unavailable

SHARDED: Final = Words(b"ssubscribe", b"sunsubscribe", b"smessage", at_once=1)
PAUSE_S: Final = (0.05, 0.25)


class ShardedLive:
    """`run` must be running before anybody follows."""

    def __init__(self, url: str, slots: SlotMap, *, tick_s: float, random: Random) -> None:
        self._url, self._slots, self._tick_s, self._random = url, slots, tick_s, random
        self._lives: dict[Node, Live] = {}
        self._running: dict[Node, asyncio.Task[None]] = {}
        self._homes: dict[bytes, Live] = {}  # of what is followed
        self._tasks = asyncio.TaskGroup()
        self._trouble = asyncio.Event()
        slots.on_change.append(self._trouble.set)

    async def join(self, channel: bytes, buffer: Buffer) -> Topic:
        owner = await self._slots.owner(slot_of(channel))
        live = self._homes.get(channel) or self._live(owner)
        topic = live.topic(channel)
        self._homes[channel] = live
        topic.buffers.add(buffer)
        return topic

    def leave(self, channel: bytes, topic: Topic) -> None:
        live = self._homes.get(channel)
        if live is not None and live.drop(channel, topic):
            del self._homes[channel]

    async def run(self) -> None:
        async with self._tasks:
            while True:
                await self._trouble.wait()
                self._trouble.clear()
                await self._settle()
                await asyncio.sleep(self._random.uniform(*PAUSE_S))

    async def _settle(self) -> None:
        """Everything to the node that has its slot, as far as that is known."""
        try:
            await self._slots.learn()
        except Unavailable:
            self._trouble.set()
            return
        for channel, live in list(self._homes.items()):
            owner = self._slots.owner_now(slot_of(channel))
            if owner is not None and (home := self._live(owner)) is not live:
                home.adopt(channel, live.let_go(channel))
                self._homes[channel] = home
        for node, live in list(self._lives.items()):
            live.ask_again()
            if live.useless:
                del self._lives[node]
                self._running.pop(node).cancel()
        if self._slots.doubted:  # nobody was asked, or nobody answered
            self._trouble.set()

    def _live(self, node: Node) -> Live:
        if node not in self._lives:
            live = self._lives[node] = Live(
                url_of(node, self._url),
                tick_s=self._tick_s,
                random=self._random,
                words=SHARDED,
                on_trouble=partial(self._on_trouble, node),
            )
            self._running[node] = self._tasks.create_task(live.run())
        return self._lives[node]

    def _on_trouble(self, node: Node, why: str) -> None:
        if (way := read_redirection(why, node)) is not None and way.for_good:
            self._slots.moved(way.slot, way.node)
        else:
            self._slots.doubt()
        self._trouble.set()
