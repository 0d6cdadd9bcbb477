"""A worker that does as a test tells it: step by step, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from headrace.contracts.ids import ClaimId, Lane, WorkerId
from headrace.contracts.messages import (
    Claim,
    Claims,
    EngineCard,
    Goodbye,
    Grant,
    Grants,
    Heartbeat,
    Heartbeats,
    Hello,
    Message,
    Offer,
    Orders,
    Refusal,
    Result,
    Results,
    decode,
    encode,
)
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus, Delivery, Parcel, Sent
from headrace.testkit.deciding import LANE

PATIENCE_S = 5.0


@dataclass
class ScriptedWorker:
    bus: Bus
    topology: Topology
    name: WorkerId
    letters: AsyncIterator[Delivery]
    lane: Lane = LANE
    slots: int = 1
    _numbers: count[int] = field(default_factory=lambda: count(1))

    async def hello(self, *cards: EngineCard) -> None:
        hello = Hello(worker=self.name, slots={self.lane: self.slots}, engines=list(cards))
        await self._say(self.topology.heartbeats, hello)

    async def goodbye(self) -> None:
        await self._say(self.topology.heartbeats, Goodbye(self.name))

    async def offer(self) -> Offer:
        """The next offer of its lane, taken and settled."""
        async with asyncio.timeout(PATIENCE_S):
            async with self.bus.receive(self.topology.work(self.lane), prefetch=1) as deliveries:
                delivery = await anext(deliveries)
                await delivery.ack()
        message = decode(delivery.body)
        assert isinstance(message, Offer)
        return message

    async def claim(self, offer: Offer, claim_id: str | None = None) -> Grant | Refusal:
        name = claim_id or f"{self.name}-claim-{next(self._numbers)}"
        asked = Claim(ClaimId(name), offer.job, offer.epoch)
        message = Claims(self.name, self.topology.mailbox(self.name), [asked])
        await self._say(self.topology.claims, message)
        answer = await self.letter()
        assert isinstance(answer, Grants)
        return answer.answers[0]

    async def take(self) -> Grant:
        """The next job of its lane; an offer that came twice is refused once, and passed over."""
        while not isinstance(answer := await self.claim(await self.offer()), Grant):
            pass
        return answer

    async def beat(self, *grants: Grant, **fields: Any) -> Orders:
        """`fields` are said of each."""
        beats = [Heartbeat(grant.job, grant.epoch, **fields) for grant in grants]
        message = Heartbeats(
            worker=self.name,
            reply_to=self.topology.mailbox(self.name),
            sequence=next(self._numbers),
            slots={self.lane: self.slots},
            heartbeats=beats,
        )
        await self._say(self.topology.heartbeats, message)
        answer = await self.letter()
        assert isinstance(answer, Orders)
        return answer

    async def end(
        self,
        grant: Grant,
        outcome: Literal["succeeded", "failed", "cancelled", "released"] = "succeeded",
        **fields: Any,
    ) -> None:
        result = Result(job=grant.job, epoch=grant.epoch, outcome=outcome, **fields)
        await self._say(self.topology.results, Results(self.name, [result]))

    async def letter(self) -> Message:
        """The next from its mailbox."""
        async with asyncio.timeout(PATIENCE_S):
            delivery = await anext(self.letters)
        await delivery.ack()
        return decode(delivery.body)

    async def _say(self, queue: str, message: Message) -> None:
        assert await self.bus.send([Parcel(queue, encode(message))]) == [Sent.KEPT]


@asynccontextmanager
async def scripted_worker(
    bus: Bus, topology: Topology, name: str = "worker-1"
) -> AsyncGenerator[ScriptedWorker]:
    worker = WorkerId(name)
    await bus.declare([topology.claims, topology.heartbeats, topology.results])
    async with bus.mailbox(topology.mailbox(worker)) as letters:
        yield ScriptedWorker(bus, topology, worker, letters)
