"""A dispatcher that does as a test tells it: it grants, refuses, orders, or stays silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from headrace.contracts.frames import Started, encode_frame, frame_type
from headrace.contracts.ids import BlobId, JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import (
    Artefact,
    Claim,
    Claims,
    Goodbye,
    Grant,
    Grants,
    Heartbeats,
    Hello,
    Offer,
    Order,
    Orders,
    Part,
    Refusal,
    Result,
    Results,
    decode,
    encode,
)
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus, Delivery, Parcel, Sent
from headrace.core.ports.streams import Batch, Streams
from headrace.testkit.waits import eventually

TENANT = TenantId("tenant")
Told: TypeAlias = Literal["go", "cancel", "lost"]
Answer: TypeAlias = Grant | Refusal | None


@dataclass(frozen=True)
class Wanted:
    """What a grant will say."""

    model: str
    input: dict[str, Any]
    timeout_s: float
    epoch: int
    attempt: int = 1
    left_behind: tuple[BlobId, int] | None = None
    artefact: Artefact | None = None
    part: Part | None = None


@dataclass
class ScriptedDispatcher:
    bus: Bus
    streams: Streams
    topology: Topology
    lease_s: float = 30.0
    deaf: bool = False  # to heartbeats
    drain: bool = False  # tells who beats to take no more offers
    answer: Callable[[Claim], Answer] | None = None  # None: grants
    orders: dict[str, Told] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    heartbeats: list[Heartbeats] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    goodbyes: list[Goodbye] = field(default_factory=list)

    async def serve(self, stop: asyncio.Event) -> None:
        queues = [self.topology.claims, self.topology.heartbeats, self.topology.results]
        await self.bus.declare(queues)
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(self._listen(queue)) for queue in queues]
            await stop.wait()
            for each in listening:
                each.cancel()

    async def offer(  # noqa: PLR0913  # what a job may be, each by its name
        self,
        job: str,
        lane: str,
        *,
        model: str = "calm",
        epoch: int = 0,
        timeout_s: float = 60.0,
        attempt: int = 1,
        left_behind: tuple[BlobId, int] | None = None,
        artefact: Artefact | None = None,
        **given: Any,
    ) -> JobId:
        self.wanted[job] = Wanted(
            model, given, timeout_s, epoch + 1, attempt, left_behind, artefact
        )
        queue = self.topology.work(Lane(lane))
        await self.bus.declare([queue])
        offer = Offer(job=JobId(job), epoch=epoch, lane=Lane(lane))
        await self.bus.send([Parcel(queue, encode(offer))])
        return JobId(job)

    async def call(  # what a job may be, each by its name
        self,
        worker: WorkerId,
        job: str,
        lane: str,
        *,
        rank: int = 0,
        gpus: int = 1,
        timeout_s: float = 60.0,
        **given: Any,
    ) -> None:
        """To run one of two parts of a job."""
        part = Part(rank, 2, "first:29500")
        self.wanted[job] = Wanted("calm", given, timeout_s, 1, part=part)
        offer = encode(Offer(JobId(job), 0, Lane(lane), nodes=2, gpus=gpus))

        async def kept() -> bool:
            """It has no mailbox until it has begun."""
            (sent,) = await self.bus.send([Parcel(self.topology.mailbox(worker), offer)])
            return sent is Sent.KEPT

        await eventually(kept)

    async def tell(self, worker: WorkerId, message: Grants | Orders) -> None:
        await self.bus.send([Parcel(self.topology.mailbox(worker), encode(message))])

    async def tell_grant(self, worker: WorkerId, claim: Claim) -> None:
        await self.tell(worker, Grants([await self.grant(claim)]))

    async def hint(self, worker: WorkerId, job: str, order: Told) -> None:
        orders = [Order(JobId(job), self.wanted[job].epoch, order)]
        await self.tell(worker, Orders(self.lease_s, orders))

    async def result(self, job: str, *, within: float = 15.0) -> Result:
        def the_result() -> Result | None:
            return next((result for result in self.results if result.job == job), None)

        found = await eventually(the_result, within=within)
        assert found is not None
        return found

    async def grant(self, claim: Claim) -> Grant:
        wanted = self.wanted[claim.job]
        started = Started(worker="worker", attempt=wanted.attempt)
        frame = (frame_type(started), encode_frame(started))
        await self.streams.append([Batch(claim.job, wanted.epoch, [frame])])
        checkpoint, step = wanted.left_behind or (None, None)
        return Grant(
            claim=claim.id,
            job=claim.job,
            tenant=TENANT,
            epoch=wanted.epoch,
            attempt=wanted.attempt,
            lease_s=self.lease_s,
            kind="play",
            model=wanted.model,
            input=wanted.input,
            timeout_s=wanted.timeout_s,
            checkpoint=checkpoint,
            checkpoint_step=step,
            artefact=wanted.artefact,
            part=wanted.part,
        )

    async def _listen(self, queue: str) -> None:
        async with self.bus.receive(queue, prefetch=16) as deliveries:
            async for delivery in deliveries:
                await self._hear(delivery)
                await delivery.ack()

    async def _hear(self, delivery: Delivery) -> None:
        match decode(delivery.body):
            case Claims() as message:
                await self._answer(message)
            case Heartbeats() as message:
                await self._obeyed(message)
            case Results() as message:
                self.results += message.results
            case Hello() as message:
                self.hellos.append(message)
            case Goodbye() as message:
                self.goodbyes.append(message)
            case other:
                raise AssertionError(f"nobody sends a dispatcher {other}")

    async def _answer(self, message: Claims) -> None:
        for claim in message.claims:
            self.claims.append(claim)
            answer = await self.grant(claim) if self.answer is None else self.answer(claim)
            if answer is not None:
                await self.tell(message.worker, Grants([answer]))

    async def _obeyed(self, message: Heartbeats) -> None:
        self.heartbeats.append(message)
        if self.deaf:
            return
        orders = [
            Order(beat.job, beat.epoch, self.orders.get(beat.job, "go"))
            for beat in message.heartbeats
        ]
        await self.tell(message.worker, Orders(self.lease_s, orders, message.sequence, self.drain))
