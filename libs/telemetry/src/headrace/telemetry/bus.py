"""The bus, watched: what belongs to a trace carries it, what is sent is counted.

Names and attributes are OpenTelemetry's for messaging. A message that belongs to no trace, as a
heartbeat, has no spans: an idle system would fill a trace store with them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue
from typing_extensions import override

from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus, Deliveries, Delivery, Depth, Parcel, Sent
from headrace.telemetry import metrics
from headrace.telemetry.tracing import begin, fail, traceparent, traceparent_of

MESSAGE_ID: Final = (
    "x-headrace-id"  # what both ends call it: a broker's own id is not told to senders
)

Role: TypeAlias = Literal["work", "claims", "heartbeats", "results", "mailbox", "dead"]


@dataclass(frozen=True, slots=True)
class Place:
    """Which system the messages go over, and what its queues are for."""

    system: str  # as OpenTelemetry names it: `rabbitmq`
    topology: Topology

    def role(self, queue: str) -> Role:
        names: Mapping[str, Role] = {
            self.topology.claims: "claims",
            self.topology.heartbeats: "heartbeats",
            self.topology.results: "results",
            self.topology.dead: "dead",
        }
        if queue in names:
            return names[queue]
        return "work" if queue.startswith(f"{self.topology.namespace}.work.") else "mailbox"

    def title(self, operation: str, queue: str) -> str:
        """Mailboxes come and go with their workers: a name for each would be no name at all."""
        if self.role(queue) == "mailbox":
            return f"{operation} {self.topology.namespace}.worker.*"
        return f"{operation} {queue}"

    def attributes(self, operation: str, queue: str, message: str) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {
            "messaging.system": self.system,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": queue,
            "messaging.message.id": message,
        }
        if self.system == "rabbitmq":
            found["messaging.rabbitmq.destination.routing_key"] = queue
        if self.role(queue) == "mailbox":
            found["messaging.destination.temporary"] = True
            found["messaging.destination.template"] = f"{self.topology.namespace}.worker.*"
        return found


class TracedBus(Bus):
    """A parcel that belongs to a trace leaves with a PRODUCER span, and arrives with a span of its own."""

    def __init__(self, inner: Bus, place: Place) -> None:
        self._inner, self._place = inner, place

    @override
    async def declare(self, queues: Sequence[str]) -> None:
        await self._inner.declare(queues)

    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        marked = [self._marked(parcel) for parcel in parcels]
        began = time.monotonic()
        answers: list[Sent] = []
        try:
            answers = await self._inner.send([parcel for parcel, _ in marked])
        finally:  # a span that never ends is a trace with a hole
            for nth, (_, span) in enumerate(marked):
                _ended(span, answers[nth] if nth < len(answers) else None)
        self._count(parcels, answers, time.monotonic() - began)
        return answers

    @override
    def receive(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Deliveries]:
        return self._heard(queue, self._inner.receive(queue, prefetch=prefetch))

    @override
    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self._arriving(name, self._inner.mailbox(name))

    @override
    async def depth(self, queue: str) -> Depth:
        return await self._inner.depth(queue)

    @override
    async def ping(self) -> None:
        await self._inner.ping()

    def _marked(self, parcel: Parcel) -> tuple[Parcel, Span | None]:
        parent = parcel.headers.get("traceparent") or traceparent()
        if parent is None:
            return parcel, None
        place, queue = self._place, parcel.queue
        span = begin(place.title("send", queue), parent=parent, kind=SpanKind.PRODUCER)
        context = traceparent_of(span) or parent
        message = context.split("-")[2]  # the span's own id: as unique as a message needs
        span.set_attributes(place.attributes("send", queue, message))
        span.set_attribute("messaging.message.body.size", len(parcel.body))
        headers = {**parcel.headers, "traceparent": context, MESSAGE_ID: message}
        return replace(parcel, headers=headers), span

    def _count(self, parcels: Sequence[Parcel], answers: Sequence[Sent], took_s: float) -> None:
        roles = [self._place.role(parcel.queue) for parcel in parcels]
        for role, answer in zip(roles, answers, strict=True):
            metrics.BUS_SENT.labels(queue=role, outcome=answer).inc()
        for role in set(roles):
            metrics.BUS_SEND.labels(queue=role).observe(took_s)

    @asynccontextmanager
    async def _heard(
        self, queue: str, receiving: AbstractAsyncContextManager[Deliveries]
    ) -> AsyncGenerator[Deliveries]:
        async with (
            receiving as deliveries,
            self._arriving(queue, nullcontext(deliveries)) as arrivals,
        ):
            yield _Heard(arrivals, deliveries)

    @asynccontextmanager
    async def _arriving(
        self, queue: str, receiving: AbstractAsyncContextManager[AsyncIterator[Delivery]]
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        in_hand: set[_TracedDelivery] = set()  # bounded by the prefetch
        async with receiving as deliveries:
            try:
                yield _Arrivals(deliveries, self._place, queue, in_hand)
            finally:
                for delivery in list(in_hand):
                    delivery.settled("not settled")


class _Arrivals(AsyncIterator[Delivery]):
    """An iterator and no generator: to be cancelled while it waits must not end it."""

    def __init__(
        self,
        inner: AsyncIterator[Delivery],
        place: Place,
        queue: str,
        in_hand: set[_TracedDelivery],
    ) -> None:
        self._inner, self._place, self._queue, self._in_hand = inner, place, queue, in_hand

    @override
    async def __anext__(self) -> Delivery:
        delivery = await anext(self._inner)
        parent = delivery.headers.get("traceparent")
        if parent is None:
            return delivery
        place, queue = self._place, self._queue
        span = begin(place.title("receive", queue), parent=parent, kind=SpanKind.CONSUMER)
        message = delivery.headers.get(MESSAGE_ID, "")
        span.set_attributes(place.attributes("receive", queue, message))
        if delivery.redelivered:
            span.set_attribute("headrace.redelivered", value=True)
        traced = _TracedDelivery(delivery, span, self._in_hand)
        self._in_hand.add(traced)
        return traced


class _Heard(AsyncIterator[Delivery]):
    """Arrivals that know whether their consumer is alive."""

    def __init__(self, arrivals: AsyncIterator[Delivery], consumer: Deliveries) -> None:
        self._arrivals, self._consumer = arrivals, consumer

    @override
    async def __anext__(self) -> Delivery:
        return await anext(self._arrivals)

    @property
    def alive_s(self) -> float | None:
        return self._consumer.alive_s


class _TracedDelivery(Delivery):
    """Its `traceparent` is that of its arrival, so that what is done with it comes below that."""

    def __init__(self, inner: Delivery, span: Span, in_hand: set[_TracedDelivery]) -> None:
        self._inner, self._span, self._in_hand = inner, span, in_hand
        self._headers = {**inner.headers, "traceparent": traceparent_of(span) or ""}

    @property
    @override
    def body(self) -> bytes:
        return self._inner.body

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    @override
    def redelivered(self) -> bool:
        return self._inner.redelivered

    @override
    async def ack(self) -> None:
        await self._inner.ack()
        self.settled("ack")

    @override
    async def requeue(self) -> None:
        await self._inner.requeue()
        self.settled("requeue")

    @override
    async def bury(self, reason: str) -> None:
        await self._inner.bury(reason)
        fail(self._span, reason)
        self.settled("bury")

    def settled(self, how: str) -> None:
        if self in self._in_hand:
            self._in_hand.remove(self)
            self._span.set_attribute("headrace.settled", how)
            self._span.end()


def _ended(span: Span | None, answer: Sent | None) -> None:
    if span is None:
        return
    if answer is not Sent.KEPT:
        fail(span, "not answered" if answer is None else answer.value)
    span.end()
