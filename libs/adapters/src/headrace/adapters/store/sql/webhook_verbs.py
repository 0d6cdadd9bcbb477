"""The part of the port's transaction that webhooks need; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from headrace.adapters.store.sql import calls, endpoints
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import CallId, EndpointId, TenantId
from headrace.core.ports.webhooks import Call, CallQuery, Endpoint, Queue, Signing


class WebhookVerbs:
    _session: Session

    async def insert_endpoint(self, endpoint: Endpoint) -> Endpoint:
        return await endpoints.insert_endpoint(self._session, endpoint)

    async def endpoint(self, tenant: TenantId, endpoint: EndpointId) -> Endpoint | None:
        return await endpoints.find(self._session, tenant, endpoint)

    async def endpoints(
        self, tenant: TenantId | None, *, before: tuple[datetime, EndpointId] | None, limit: int
    ) -> list[Endpoint]:
        return await endpoints.page(self._session, tenant, before, limit)

    async def known_endpoints(self, wanted: Sequence[EndpointId]) -> dict[EndpointId, Endpoint]:
        return await endpoints.known(self._session, wanted)

    async def save_endpoint(self, endpoint: Endpoint) -> None:
        await endpoints.save(self._session, endpoint)

    async def delete_endpoint(self, tenant: TenantId, endpoint: EndpointId) -> bool:
        return await endpoints.remove(self._session, tenant, endpoint)

    async def signing(
        self, tenant: TenantId, endpoint: EndpointId, fresh: Callable[[], str]
    ) -> Signing:
        return await endpoints.signing(self._session, tenant, endpoint, fresh)

    async def save_signing(self, tenant: TenantId, endpoint: EndpointId, signing: Signing) -> None:
        await endpoints.save_signing(self._session, tenant, endpoint, signing)

    async def due_queues(
        self, now: datetime, *, after: Queue | None, limit: int
    ) -> tuple[list[Queue], Queue | None]:
        return await calls.due_queues(self._session, now, after, limit)

    async def due_calls(self, queue: Queue, now: datetime, *, limit: int) -> list[Call]:
        return await calls.due_calls(self._session, queue, now, limit)

    async def reserve_calls(self, reserved: Sequence[Call], *, until: datetime) -> list[Call]:
        return await calls.reserve(self._session, reserved, until)

    async def save_call(self, before: Call, after: Call) -> bool:
        return await calls.save(self._session, before, after)

    async def call(self, tenant: TenantId | None, call: CallId) -> Call | None:
        return await calls.find(self._session, tenant, call)

    async def calls(self, query: CallQuery) -> list[Call]:
        return await calls.page(self._session, query)

    async def purge_calls(self, *, created_before: datetime, limit: int) -> int:
        return await calls.purge(self._session, created_before, limit)
