"""The bus, traced: whatever is sent carries the context it was sent in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from opentelemetry.trace import SpanKind

from headrace.core.ports.bus import Bus, Deliveries, Delivery, Depth, Parcel, Sent
from headrace.telemetry.tracing import span, traceparent


class TracedBus:
    """Wraps a bus. A parcel that belongs to a trace leaves with a PRODUCER span of that trace.

    Heartbeats and the like belong to none, and stay unmarked.
    """

    def __init__(self, inner: Bus) -> None:
        self._inner = inner

    async def declare(self, queues: Sequence[str]) -> None:
        await self._inner.declare(queues)

    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        return await self._inner.send([_marked(parcel) for parcel in parcels])

    def receive(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Deliveries]:
        return self._inner.receive(queue, prefetch=prefetch)

    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self._inner.mailbox(name)

    async def depth(self, queue: str) -> Depth:
        return await self._inner.depth(queue)

    async def ping(self) -> None:
        await self._inner.ping()


def _marked(parcel: Parcel) -> Parcel:
    parent = parcel.headers.get("traceparent") or traceparent()
    if parent is None:
        return parcel
    attributes = {
        "messaging.system": "headrace",
        "messaging.destination.name": parcel.queue,
        "messaging.operation.type": "send",
    }
    name = f"send {parcel.queue}"
    with span(name, parent=parent, kind=SpanKind.PRODUCER, attributes=attributes):
        return replace(parcel, headers={**parcel.headers, "traceparent": traceparent() or parent})
