"""Commands to a cluster: each goes to the node that has its key, and follows it where it has moved.

Laws:
1. Of one slot's commands the next is sent when the one before has its answer, and none after one that has none:
   a redirection must not let the second one overtake the first.
2. A command whose answer got lost is never sent again from here: only its caller knows whether it may be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import hiredis

from headrace.adapters.redis.commands import Command, Commands, First
from headrace.adapters.redis.slot_map import SlotMap
from headrace.adapters.redis.slots import SLOTS, Node, key_of, read_redirection, slot_of, url_of
from headrace.core.errors import Unavailable

SETTLED_WITHIN_S: Final = 4.0  # one answer that does not come, and a map that is asked for
HEALTH_WITHIN_S: Final = 1.0
TRIES: Final = 8
PASSING: Final = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN")
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.5
ASKING: Final = ("ASKING",)

_jitter = Random()  # spreads retries, guards nothing


@dataclass(slots=True)
class _Call:
    command: Command
    slot: int
    answer: Any = None  # an exception where there is none


class Cluster:
    """`url` names some of its nodes, and says how all of them are connected to."""

    def __init__(self, slots: SlotMap, url: str, *, first: First) -> None:
        self.slots, self._url, self._first = slots, url, first
        self._nodes: dict[Node, Commands] = {}
        slots.on_change.append(self._leave_those_that_left)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """As `Commands.send`. What could be sent was sent, also when it raises."""
        calls = [_Call(each, slot_of(key_of(each))) for each in commands]
        try:
            async with asyncio.timeout(SETTLED_WITHIN_S):
                await self.slots.learn()
                for wave in _waves(calls):
                    await self._sent(wave)
        except TimeoutError:
            raise _unavailable("the cluster did not settle in time") from None
        for call in calls:
            if isinstance(call.answer, Exception):
                raise _unavailable(_why(call.answer)) from call.answer
        return [call.answer for call in calls]

    async def everywhere(self, command: Command) -> Mapping[Node, Any]:
        """Its answer at each node that has slots, or the exception; the map is asked for anew."""
        self.slots.doubt()
        await self.slots.learn(at_once=True)
        calls = {node: _Call(command, 0) for node in self.slots.nodes}
        async with asyncio.TaskGroup() as tasks:
            for node, call in calls.items():
                tasks.create_task(self._soon(node, call))
        return {node: call.answer for node, call in calls.items()}

    async def _soon(self, node: Node, call: _Call) -> None:
        """Whoever asks how it is has less time than whoever has something to say."""
        try:
            async with asyncio.timeout(HEALTH_WITHIN_S):
                await self._together(node, [call])
        except TimeoutError:
            call.answer = _unavailable("it does not answer")

    async def ping(self) -> None:
        """Every slot has a node, every such node answers, and says that the cluster serves."""
        told = await self.everywhere(("CLUSTER", "INFO"))
        if gaps := self.slots.uncovered:
            raise _unavailable(f"no node of the cluster has these slots: {gaps}")
        for node, answer in told.items():
            if isinstance(answer, Exception):
                slots = self.slots.count(node)
                raise _unavailable(f"{node}, which has {slots} of {SLOTS} slots: {_why(answer)}")
            if b"cluster_state:ok" not in answer:
                raise _unavailable(f"{node} says that the cluster is down{_served(answer)}")

    def close(self) -> None:
        for commands in self._nodes.values():
            commands.close()

    async def _sent(self, calls: Sequence[_Call]) -> None:
        groups: dict[Node, list[_Call]] = {}
        for call in calls:
            if (node := self.slots.owner_now(call.slot)) is None:
                self.slots.doubt()
                call.answer = _unavailable(f"no node of the cluster has slot {call.slot}")
            else:
                groups.setdefault(node, []).append(call)
        async with asyncio.TaskGroup() as tasks:
            for node, group in groups.items():
                tasks.create_task(self._together(node, group))

    async def _together(self, node: Node, calls: Sequence[_Call]) -> None:
        """In one write; each that is sent elsewhere goes there alone."""
        try:
            replies = await self._at(node).exchange([call.command for call in calls])
        except Unavailable as error:
            self.slots.doubt()
            for call in calls:
                call.answer = error
            return
        for call, reply in zip(calls, replies, strict=True):
            call.answer = reply
            if isinstance(reply, hiredis.ReplyError):
                await self._followed(call, node)

    async def _followed(self, call: _Call, node: Node) -> None:
        """Wherever its slot is, until there is an answer or an error that no other node would mend."""
        for pause in _pauses():
            step = await self._next_step(call, node, pause)
            if step is None:
                return
            node, before = step
            try:
                *_, call.answer = await self._at(node).exchange([*before, call.command])
            except Unavailable as error:
                self.slots.doubt()
                call.answer = error
                return
            if not isinstance(call.answer, hiredis.ReplyError):
                return

    async def _next_step(
        self, call: _Call, node: Node, pause: float
    ) -> tuple[Node, Sequence[Command]] | None:
        """Whom to ask next, and what to say to it before."""
        error = str(call.answer)
        if (way := read_redirection(error, node)) is not None:
            await asyncio.sleep(pause)
            if way.for_good:
                self.slots.moved(way.slot, way.node)
            return way.node, () if way.for_good else (ASKING,)
        if error.startswith("NOSCRIPT"):  # flushed: it is loaded when a connection begins
            return node, self._first(clustered=True)
        if error.startswith(PASSING):
            await asyncio.sleep(pause or FIRST_PAUSE_S)
            self.slots.doubt()
            await self.slots.learn()
            return self.slots.owner_now(call.slot) or node, ()
        return None

    def _leave_those_that_left(self) -> None:
        for node in self._nodes.keys() - set(self.slots.nodes):
            if self._nodes[node].idle:  # else a slot is on its way there
                self._nodes.pop(node).close()

    def _at(self, node: Node) -> Commands:
        if node not in self._nodes:
            self._nodes[node] = Commands(url_of(node, self._url), first=self._first)
        return self._nodes[node]


def _waves(calls: Sequence[_Call]) -> Iterator[Sequence[_Call]]:
    """One call of each slot, then the next, until one has no answer."""
    waiting: dict[int, deque[_Call]] = {}
    for call in calls:
        waiting.setdefault(call.slot, deque()).append(call)
    while waiting:
        wave = [slot.popleft() for slot in waiting.values()]
        yield wave
        ill = {call.slot for call in wave if isinstance(call.answer, Exception)}
        waiting = {slot: rest for slot, rest in waiting.items() if rest and slot not in ill}


def _pauses() -> Iterator[float]:
    yield 0  # a slot that has just moved is found at once
    for nth in range(TRIES - 1):
        yield _jitter.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**nth))


def _served(answer: bytes) -> str:
    told = dict(line.split(b":", 1) for line in answer.split() if b":" in line)
    served = told.get(b"cluster_slots_ok", b"?").decode()
    return f": {served} of {SLOTS} slots are served"


def _why(error: Exception) -> str:
    return error.why if isinstance(error, Unavailable) else str(error)


def _unavailable(why: str) -> Unavailable:
    return Unavailable("Redis", why)
