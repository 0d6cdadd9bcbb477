"""Webhooks over the wire at the native door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from headrace.core.addresses import LONGEST
from headrace.core.ports.webhooks import CallState
from headrace.core.webhooks import EventType


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


_URL = ["https://receiver.example/headrace"]
_EVENTS = (
    "None: `job.succeeded`, `job.failed`, `job.cancelled` and `job.dead`. A batch's end is told to those"
    " alone that name `batch.ended`."
)


class EndpointRequest(_Asked):
    url: str = Field(min_length=1, max_length=LONGEST, examples=_URL)
    events: list[EventType] = Field(
        default_factory=list, max_length=len(EventType), description=_EVENTS
    )
    note: str = Field("", max_length=200, description="What it is for.")


class EndpointChange(_Asked):
    """What is left out stays."""

    url: str | None = Field(None, min_length=1, max_length=LONGEST, examples=_URL)
    events: list[EventType] | None = Field(None, max_length=len(EventType), description=_EVENTS)
    note: str | None = Field(None, max_length=200)
    enabled: bool | None = Field(None, description="true forgets that it failed.")


class EndpointView(_Told):
    id: str = Field(json_schema_extra={"format": "uuid"})
    url: str
    events: list[str]
    note: str
    failing_since: datetime | None = Field(description="No call has arrived since.")
    disabled_at: datetime | None = Field(description="Set: it is not called any more.")
    disabled_why: str | None
    created_at: datetime | None


class NewEndpointView(EndpointView):
    secret: str = Field(description="What its calls are signed with: `whsec_…`.")


class EndpointsPage(_Told):
    webhooks: list[EndpointView]


class AnybodysEndpointView(EndpointView):
    tenant: str


class AnybodysEndpointsPage(_Told):
    webhooks: list[AnybodysEndpointView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class SecretView(_Told):
    secret: str
    old: str | None = Field(description="Signs beside it until `old_until`.")
    old_until: datetime | None


class TryView(_Told):
    at: datetime
    status: int | None = Field(description="Null: there was no answer.")
    error: str | None = Field(description="Null: it arrived.")
    took_ms: int


class DeliveryView(_Told):
    id: str = Field(json_schema_extra={"format": "uuid"})
    message: str = Field(description="The `webhook-id` that its receiver sees.")
    webhook: str | None = Field(description="The endpoint; null: the job itself named the address.")
    url: str
    job: str
    type: str
    state: CallState
    tries: int
    next_at: datetime | None = Field(
        description="When it is tried, or counts as lost if it is now."
    )
    created_at: datetime
    settled_at: datetime | None
    log: list[TryView] = Field(description="The latest tries, oldest first.")


_BODY = "What its receiver reads: a `WebhookEvent`, as it was written when it happened."


class DeliveryDetail(DeliveryView):
    body: dict[str, Any] = Field(description=_BODY)


class DeliveriesPage(_Told):
    deliveries: list[DeliveryView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class AnybodysDeliveryView(DeliveryView):
    tenant: str


class AnybodysDeliveryDetail(AnybodysDeliveryView):
    body: dict[str, Any] = Field(description=_BODY)


class AnybodysDeliveriesPage(_Told):
    deliveries: list[AnybodysDeliveryView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class WebhookEvent(_Told):
    """The body of a call, as its receiver reads it."""

    type: EventType
    timestamp: datetime
    data: dict[str, Any] = Field(
        description="The job as `GET /jobs/{job}` shows it, without its input. `left_out` is true"
        " where it was too large: read `links.result`. Of `batch.ended`: the batch as"
        " `GET /batches/{batch}` shows it."
    )


class DeliveriesQuery(BaseModel):
    """Which deliveries to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: CallState | None = None
    webhook: str | None = Field(None, max_length=64)
    job: str | None = Field(None, max_length=64)
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str | None, Field(max_length=200)] = None


class AnybodysDeliveriesQuery(DeliveriesQuery):
    tenant: str | None = Field(None, max_length=64)
