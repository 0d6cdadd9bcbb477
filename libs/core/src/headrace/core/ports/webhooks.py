"""Webhooks in the store: who wants to be told, the secrets they know, and each call until it has arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from headrace.contracts.ids import CallId, EndpointId, JobId, TenantId

OF_JOBS: Final = EndpointId("jobs")  # whose secret signs what a job itself asked for


class CallState(StrEnum):
    WAITING = "waiting"  # for its first try or the next
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A tenant's standing wish to be told."""

    id: EndpointId
    tenant: TenantId
    url: str
    events: tuple[str, ...] = ()  # none: the ends of jobs
    note: str = ""  # what it is for, in its owner's words
    failing_since: datetime | None = None  # no call has arrived since
    disabled_at: datetime | None = None
    disabled_why: str | None = None
    created_at: datetime | None = None  # set by the store


@dataclass(frozen=True, slots=True)
class Signing:
    secret: str
    old: str | None = None
    old_until: datetime | None = None

    def valid(self, now: datetime) -> list[str]:
        """Newest first."""
        if self.old is None or self.old_until is None or self.old_until <= now:
            return [self.secret]
        return [self.secret, self.old]


@dataclass(frozen=True, slots=True)
class Try:
    at: datetime
    status: int | None  # None: there was no answer
    error: str | None  # None: it arrived
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One event for one receiver. `tries` only grows until somebody asks for it again: it is the fence."""

    id: CallId
    message: str  # `webhook-id`: the same for every receiver of the event, however often it is sent
    tenant: TenantId
    endpoint: EndpointId | None  # None: the job itself asked for it
    url: str  # what was to be called when it happened; an endpoint's own may have changed
    host: str
    job: JobId  # or the batch that it is about
    type: str
    body: str
    trace: str | None = None
    state: CallState = CallState.WAITING
    tries: int = 0
    next_at: datetime | None = None
    created_at: datetime
    settled_at: datetime | None = None
    log: tuple[Try, ...] = ()

    @property
    def signed_as(self) -> EndpointId:
        return OF_JOBS if self.endpoint is None else self.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    tenant: TenantId | None = None  # None: everybody's
    state: CallState | None = None
    endpoint: EndpointId | None = None
    job: JobId | None = None
    before: tuple[datetime, CallId] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Queue:
    """Calls to one host for one tenant: what can be slow together."""

    tenant: TenantId
    host: str


class Webhooks(Protocol):
    """The part of a transaction that knows who is told, and what has been."""

    async def insert_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """As it is kept, with its time."""

    async def endpoint(self, tenant: TenantId, endpoint: EndpointId) -> Endpoint | None:
        """For changing."""

    async def endpoints(
        self, tenant: TenantId | None, *, before: tuple[datetime, EndpointId] | None, limit: int
    ) -> list[Endpoint]:
        """Newest first; of everybody if no tenant is named."""

    async def known_endpoints(self, wanted: Sequence[EndpointId]) -> dict[EndpointId, Endpoint]:
        """Whosever; those that are gone are missing."""

    async def save_endpoint(self, endpoint: Endpoint) -> None: ...

    async def delete_endpoint(self, tenant: TenantId, endpoint: EndpointId) -> bool: ...

    async def signing(
        self, tenant: TenantId, endpoint: EndpointId, fresh: Callable[[], str]
    ) -> Signing:
        """What its calls are signed with; made the first time that anybody asks."""

    async def save_signing(self, tenant: TenantId, endpoint: EndpointId, signing: Signing) -> None:
        """Only if `old` is what it still is: of two who turn it at once, the second changes nothing."""

    async def due_queues(
        self, now: datetime, *, after: Queue | None, limit: int
    ) -> tuple[list[Queue], Queue | None]:
        """Those whose time has come, of the next `limit` that have calls; and the last one looked at.

        In an order of their own. None: the beginning is before the first, and the end was reached.
        """

    async def due_calls(self, queue: Queue, now: datetime, *, limit: int) -> list[Call]:
        """Its oldest, locked; those that another transaction has locked are passed over."""

    async def reserve_calls(self, reserved: Sequence[Call], *, until: datetime) -> list[Call]:
        """One try more for each, which nobody else makes until then; as they are now."""

    async def save_call(self, before: Call, after: Call) -> bool:
        """False: since it was read somebody has tried it, or has changed it; nothing was written."""

    async def call(self, tenant: TenantId | None, call: CallId) -> Call | None:
        """None for a tenant: whosever."""

    async def calls(self, query: CallQuery) -> list[Call]:
        """Newest first."""

    async def purge_calls(self, *, created_before: datetime, limit: int) -> int:
        """Forget those that are settled and old; how many."""
