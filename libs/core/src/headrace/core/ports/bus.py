"""The bus: wakes and distributes. It carries bytes, at least once, and loses nothing it confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

# What a dead letter says about itself: why it was parked, and the queue it came from.
REASON_HEADER: Final = "x-headrace-reason"
ORIGIN_HEADER: Final = "x-headrace-origin"
# What it was called on the bus, the same at every delivery; empty where nobody gave it a name.
MESSAGE_HEADER: Final = "x-headrace-message"
# Whose job an offer is about, for the log of who takes it: an offer holds ids only.
TENANT_HEADER: Final = "x-headrace-tenant"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message on its way: `body` up to `contracts.messages.MAX_MESSAGE_BYTES`."""

    queue: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # trace context and the like


class Sent(StrEnum):
    """What became of a parcel. None of these is an error: the sender decides what it means."""

    KEPT = "kept"  # durable, confirmed by the broker
    UNROUTABLE = "unroutable"  # no such queue; certainly not kept
    UNKNOWN = "unknown"  # no answer in time: it may or may not have been kept


@dataclass(frozen=True, slots=True)
class Depth:
    """A hint, not a truth: messages ready for delivery, and who listens."""

    ready: int
    consumers: int


class Delivery(Protocol):
    """A message in hand. Unsettled, it comes back when its receiver closes or dies.

    Settling twice, or after the connection broke, does nothing: the message comes back by itself.
    """

    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def redelivered(self) -> bool: ...

    async def ack(self) -> None:
        """Done with it."""

    async def requeue(self) -> None:
        """Not now: back to its queue. Never in a loop; before RabbitMQ 4.3 it counts as a failure."""

    async def bury(self, reason: str) -> None:
        """Never: park it with the dead letters, with the reason in its `REASON_HEADER`."""


class Deliveries(Protocol):
    """What comes to one receiver: an iterator that knows whether it is heard."""

    def __aiter__(self) -> AsyncIterator[Delivery]: ...

    def __anext__(self) -> Awaitable[Delivery]: ...

    @property
    def alive_s(self) -> float | None:
        """Since its consumer was last known to be alive; None: it has not begun to consume.

        Silence is told from death now and then: some ten seconds are nothing to worry about.
        """


class Bus(Protocol):
    async def declare(self, queues: Sequence[str]) -> None:
        """Make sure these durable work queues and their dead-letter queue exist. Idempotent.

        Raises Misconfigured, in plain words, where one exists with other properties.
        """

    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        """Send a batch and wait for every confirm, within the bus's own deadline; answers in order.

        Raises TooLarge (nothing of the batch is sent). Never raises because the broker is away:
        that is `Sent.UNKNOWN`.
        """

    def receive(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Deliveries]:
        """Consume a declared queue: at most `prefetch` unsettled at a time.

        The iterator survives broker restarts and a consumer that the broker cancelled; it ends only
        by leaving the context, which gives back what is unsettled.
        """

    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """A queue of one's own, for answers: made here, gone with this context, bounded.

        What is sent to it while it is away is UNROUTABLE or lost; its users ask again.
        """

    async def depth(self, queue: str) -> Depth:
        """Raises Unavailable."""

    async def ping(self) -> None:
        """Raises Unavailable when a send would not be confirmed now."""
