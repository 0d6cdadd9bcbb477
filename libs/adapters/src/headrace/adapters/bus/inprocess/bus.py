"""The bus of one process: the broker's promises, less surviving the process (the store does that)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from typing_extensions import override

from headrace.adapters.bus.inprocess.queue import Letter, LocalQueue
from headrace.adapters.bus.inprocess.receiver import LocalReceiver
from headrace.contracts.messages import MAX_MESSAGE_BYTES
from headrace.contracts.topology import Topology
from headrace.core.errors import TooLarge, Unavailable
from headrace.core.ports.bus import (
    MESSAGE_HEADER,
    ORIGIN_HEADER,
    REASON_HEADER,
    Bus,
    Depth,
    Parcel,
    Sent,
)

DELIVERY_LIMIT: Final = 20  # as on the broker: one more delivery than this, then it is parked
QUEUE_BOUND: Final = 10_000
MAILBOX_BOUND: Final = 1_000
MAILBOX_PREFETCH: Final = 100


class InProcessBus(Bus):
    """Shared by every role in one event loop; nothing to open or close.

    A full queue makes `send` wait until its deadline, then answer UNKNOWN: the same call may
    succeed later. A full mailbox loses its oldest letter, as on the broker.
    """

    def __init__(
        self,
        topology: Topology | None = None,
        *,
        publish_timeout_s: float = 5.0,
        queue_bound: int = QUEUE_BOUND,
        mailbox_bound: int = MAILBOX_BOUND,
    ) -> None:
        self._topology = topology or Topology()
        self._publish_timeout_s = publish_timeout_s
        self._queue_bound = queue_bound
        self._mailbox_bound = mailbox_bound
        dead = self._topology.dead
        self._queues = {dead: self._new_queue(dead, queue_bound, None)}
        self._undeclared: dict[str, LocalQueue] = {}  # has receivers, takes no letters yet
        self._mailboxes: dict[str, LocalQueue] = {}

    @override
    async def declare(self, queues: Sequence[str]) -> None:
        for name in queues:
            if name not in self._queues:
                self._queues[name] = self._find_or_prepare(name)
                self._undeclared.pop(name, None)

    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        for parcel in parcels:
            if len(parcel.body) > MAX_MESSAGE_BYTES:
                raise TooLarge(f"a message to {parcel.queue}", len(parcel.body), MAX_MESSAGE_BYTES)
        outcomes = [Sent.UNKNOWN] * len(parcels)
        try:
            async with asyncio.timeout(self._publish_timeout_s):
                for index, parcel in enumerate(parcels):
                    outcomes[index] = await self._send_one(parcel)
        except TimeoutError:
            pass  # the rest stays UNKNOWN
        await asyncio.sleep(0)  # a sender in a loop must let its receivers work
        return outcomes

    @override
    @asynccontextmanager
    async def receive(self, queue: str, *, prefetch: int) -> AsyncGenerator[LocalReceiver]:
        found = self._find_or_prepare(queue)
        receiver = LocalReceiver(found, prefetch=prefetch, bury=self._bury)
        try:
            yield receiver
        finally:
            receiver.close()

    @override
    @asynccontextmanager
    async def mailbox(self, name: str) -> AsyncGenerator[LocalReceiver]:
        if name in self._mailboxes:
            raise Unavailable(f"mailbox {name}", "somebody else has it")
        box = self._mailboxes[name] = self._new_queue(name, self._mailbox_bound, None)
        receiver = LocalReceiver(box, prefetch=MAILBOX_PREFETCH, bury=self._bury)
        try:
            yield receiver
        finally:
            receiver.close()
            del self._mailboxes[name]

    @override
    async def depth(self, queue: str) -> Depth:
        found = self._queues.get(queue) or self._mailboxes.get(queue)
        if found is None:
            raise Unavailable(f"queue {queue}", "there is no such queue")
        return Depth(ready=found.ready, consumers=found.receivers)

    @override
    async def ping(self) -> None:
        """Always well: it is here."""

    async def _send_one(self, parcel: Parcel) -> Sent:
        # A broker's own notes on a death must not travel on, here as there.
        headers = {k: v for k, v in parcel.headers.items() if not k.startswith("x-death")}
        letter = Letter(bytes(parcel.body), headers)
        if mailbox := self._mailboxes.get(parcel.queue):
            mailbox.push(letter)
        elif queue := self._queues.get(parcel.queue):
            await queue.put(letter)
        else:
            return Sent.UNROUTABLE
        return Sent.KEPT

    def _find_or_prepare(self, name: str) -> LocalQueue:
        """The declared queue, or one for its receivers to wait at until it is declared."""
        if found := self._queues.get(name):
            return found
        if name not in self._undeclared:
            self._undeclared[name] = self._new_queue(name, self._queue_bound, DELIVERY_LIMIT)
        return self._undeclared[name]

    def _new_queue(self, name: str, bound: int, returns: int | None) -> LocalQueue:
        park = partial(self._park, name)
        return LocalQueue(name, bound=bound, returns=returns, park=park)

    def _park(self, origin: str, letter: Letter, reason: str) -> None:
        self._bury(letter, origin, reason)

    def _bury(self, letter: Letter, origin: str, reason: str) -> None:
        note = {ORIGIN_HEADER: origin, REASON_HEADER: reason, MESSAGE_HEADER: secrets.token_hex(16)}
        headers = {**letter.headers, **note}
        # When even the dead letters are too many, the oldest goes: its job's record is in the store.
        self._queues[self._topology.dead].push(Letter(letter.body, headers))
