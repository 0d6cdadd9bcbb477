"""The one place that declares queues on the broker, and says plainly where one differs.

Arguments of a queue cannot be changed later, so there are few, and the same on every version that
knows them; limits that are to be tuned belong in policies.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.adapters.bus.rabbitmq.link import ANSWER_WITHIN_S, Link
from headrace.contracts.topology import Topology
from headrace.core.errors import Misconfigured
from headrace.core.ports.bus import Depth

DELIVERY_LIMIT: Final = (
    20  # set on every version: before 4.0 there is none, after it drops silently
)
NEVER: Final = 1_000_000  # deliveries; -1 would say it too, but only to 4.0 and later
MAILBOX_BOUND: Final = 1_000
MAILBOX_TTL_MS: Final = 60_000  # an answer older than this has been asked for again

# A quorum queue made again within some 20 ms of its deletion keeps the ghosts of its old consumers
# (seen on 3.10.8): they are told nothing, are counted, take messages, and deliver none. So whoever
# finds a queue missing gives its consumers time to be told.
MOURNING_S: Final = 1.0
SAFE_DEAD_LETTERING_SINCE: Final = (3, 10)

log = logging.getLogger(__name__)

# PRECONDITION_FAILED - inequivalent arg 'x-y' for queue 'q' in vhost '/': received 'a' but current is 'b'
INEQUIVALENT: Final = re.compile(
    r"inequivalent arg '(?P<property>[^']+)' for queue '(?P<queue>[^']+)' in vhost '(?P<vhost>[^']+)': "
    r"received (?P<expected>.+?) but current is (?P<found>.+)"
)


class Declarer:
    def __init__(self, link: Link, topology: Topology) -> None:
        self._link = link
        self._topology = topology
        self._declared: set[str] = set()
        self._missing_since: dict[str, float] = {}

    async def declare(self, queues: Iterable[str]) -> None:
        """The dead letters' queue first: a message must never die before there is a place for it."""
        wanted = dict.fromkeys([self._topology.dead, *queues])
        channel = await self._link.channel()
        try:
            for name in wanted:
                await self._declare_one(channel, name)
        finally:
            await self._link.discard(channel)
        self._declared |= wanted.keys()
        for name in wanted:
            self._missing_since.pop(name, None)

    async def restore(self, queues: Iterable[str]) -> None:
        """Declare again those of ours that somebody deleted, or a wiped broker forgot, a while ago."""
        now = asyncio.get_running_loop().time()
        missing = self._declared.intersection(queues)
        lost = [name for name in missing if now >= self._since(name, now) + MOURNING_S]
        if lost:
            log.warning("bus.queues_restored", extra={"queues": lost})
            await self.declare(lost)

    def _since(self, name: str, now: float) -> float:
        since = self._missing_since.get(name, now)
        # A note so old is of another loss, which somebody else made good.
        fresh = since if now < since + 60 * MOURNING_S else now
        self._missing_since[name] = fresh
        return fresh

    async def depth(self, queue: str) -> Depth:
        """Raises Unavailable, also when there is no such queue."""
        channel = await self._link.channel()
        try:
            with as_unavailable(f"queue {queue}"):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    found = (await channel.declare_queue(queue, passive=True)).declaration_result
        finally:
            await self._link.discard(channel)
        return Depth(ready=found.message_count or 0, consumers=found.consumer_count or 0)

    async def _declare_one(self, channel: AbstractChannel, name: str) -> None:
        with as_unavailable(self._link.what):
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await channel.declare_queue(name, durable=True, arguments=self._arguments(name))
            except ChannelPreconditionFailed as differs:
                raise _mismatch(name, str(differs.args[0])) from differs
            except ChannelAccessRefused as refused:
                raise Misconfigured(
                    f"The user of {self._link.what} may not declare queue {name!r}.",
                    "Grant it: rabbitmqctl set_permissions -p <vhost> <user> '.*' '.*' '.*'.",
                ) from refused

    def _arguments(self, name: str) -> dict[str, Any]:
        if name == self._topology.dead:
            return {"x-queue-type": "quorum", "x-delivery-limit": NEVER}
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._topology.dead,
        }
        if self._link.version >= SAFE_DEAD_LETTERING_SINCE:
            # At least once works only where an overflow is refused rather than dropped.
            safely = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
            return {**arguments, **safely}
        return arguments


async def declare_mailbox(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Exclusive: it goes with its connection, and nobody else may read it."""
    return await channel.declare_queue(
        name,
        exclusive=True,
        arguments={
            "x-max-length": MAILBOX_BOUND,
            "x-overflow": "drop-head",
            "x-message-ttl": MAILBOX_TTL_MS,
        },
    )


def _mismatch(name: str, said: str) -> Misconfigured:
    remedy = (
        "Stop everything that uses it, let it run empty, delete it"
        f" (rabbitmqctl delete_queue -p <vhost> {name}) and start again; or use another namespace."
    )
    told = INEQUIVALENT.search(said)
    if told is None:
        return Misconfigured(f"Queue {name!r} exists with other properties ({said}).", remedy)
    return Misconfigured(
        f"Queue {name!r} exists with other properties: {told['property']} should be"
        f" {_value(told['expected'])} but is {_value(told['found'])}.",
        remedy.replace("<vhost>", told["vhost"]),
    )


def _value(said: str) -> str:
    """`the value 'a' of type 'longstr'` and `'a'` both mean a; `none` means that it is not set."""
    quoted = re.search(r"'([^']*)'", said)
    return repr(quoted[1]) if quoted else "not set"
