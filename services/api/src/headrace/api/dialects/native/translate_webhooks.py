"""Webhooks between the door's words and the core's: pure, both ways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headrace.api.dialects.native import schemas_webhooks as schemas
from headrace.api.dialects.native.translate import read_cursor, write_cursor
from headrace.contracts.ids import CallId, EndpointId, JobId, TenantId
from headrace.core.ports.webhooks import Call, CallQuery, Endpoint, Signing


def query(asked: schemas.DeliveriesQuery, tenant: TenantId | None) -> CallQuery:
    """One row more than asked for tells whether there is a next page. Raises ValueError."""
    before = None if asked.cursor is None else read_cursor(asked.cursor)
    return CallQuery(
        tenant=tenant,
        state=asked.state,
        endpoint=None if asked.webhook is None else EndpointId(asked.webhook),
        job=None if asked.job is None else JobId(asked.job),
        before=None if before is None else (before[0], CallId(before[1])),
        limit=asked.limit + 1,
    )


def of_anybody(asked: schemas.AnybodysDeliveriesQuery) -> CallQuery:
    """Raises ValueError."""
    tenant = None if asked.tenant is None else TenantId(asked.tenant)
    return replace(query(asked, None), tenant=tenant)


def next_of(found: Sequence[Call] | Sequence[Endpoint], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return write_cursor(last.created_at, last.id)


def endpoint_view(endpoint: Endpoint) -> schemas.EndpointView:
    return schemas.EndpointView.model_validate(_of_endpoint(endpoint))


def new_endpoint_view(endpoint: Endpoint, signing: Signing) -> schemas.NewEndpointView:
    return schemas.NewEndpointView(**_of_endpoint(endpoint), secret=signing.secret)


def anybodys_endpoint_view(endpoint: Endpoint) -> schemas.AnybodysEndpointView:
    return schemas.AnybodysEndpointView(**_of_endpoint(endpoint), tenant=endpoint.tenant)


def _of_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "note": endpoint.note,
        "failing_since": endpoint.failing_since,
        "disabled_at": endpoint.disabled_at,
        "disabled_why": endpoint.disabled_why,
        "created_at": endpoint.created_at,
    }


def secret_view(signing: Signing) -> schemas.SecretView:
    return schemas.SecretView(secret=signing.secret, old=signing.old, old_until=signing.old_until)


def delivery_view(call: Call) -> schemas.DeliveryView:
    return schemas.DeliveryView(**_of_call(call))


def anybodys_delivery_view(call: Call) -> schemas.AnybodysDeliveryView:
    return schemas.AnybodysDeliveryView(**_of_call(call), tenant=call.tenant)


def delivery_detail(call: Call) -> schemas.DeliveryDetail:
    return schemas.DeliveryDetail(**_of_call(call), body=json.loads(call.body))


def anybodys_delivery_detail(call: Call) -> schemas.AnybodysDeliveryDetail:
    told = {**_of_call(call), "tenant": call.tenant, "body": json.loads(call.body)}
    return schemas.AnybodysDeliveryDetail.model_validate(told)


def _of_call(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "message": call.message,
        "webhook": call.endpoint,
        "url": call.url,
        "job": call.job,
        "type": call.type,
        "state": call.state,
        "tries": call.tries,
        "next_at": call.next_at,
        "created_at": call.created_at,
        "settled_at": call.settled_at,
        "log": [
            schemas.TryView(at=each.at, status=each.status, error=each.error, took_ms=each.took_ms)
            for each in call.log
        ],
    }
