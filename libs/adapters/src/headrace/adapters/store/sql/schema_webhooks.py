"""The tables of webhooks: who is told, what that is signed with, and each call."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Integer, Table, Text, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name

ENABLED: Final = "disabled_at IS NULL"
WAITING: Final = "state = 'waiting'"

webhook_endpoints: Final = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("note", Text, nullable=False),
    Column("failing_since", Instant),
    Column("disabled_at", Instant),
    Column("disabled_why", Text),
    Column("created_at", Instant, nullable=False),
)
Index(
    "webhook_endpoints_listed",
    webhook_endpoints.c.tenant,
    webhook_endpoints.c.created_at,
    webhook_endpoints.c.id,
)
Index(
    "webhook_endpoints_enabled",
    webhook_endpoints.c.tenant,
    postgresql_where=text(ENABLED),
    sqlite_where=text(ENABLED),
)

# As they are: who signs has to know them.
webhook_secrets: Final = Table(
    "webhook_secrets",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("endpoint", Name, primary_key=True),  # 'jobs': of what a job itself asked for
    Column("secret", Text, nullable=False),
    Column("old", Text),
    Column("old_until", Instant),
)

webhook_calls: Final = Table(
    "webhook_calls",
    metadata,
    Column("id", Name, primary_key=True),
    Column("message", Name, nullable=False),
    Column("tenant", Name, nullable=False),
    Column("endpoint", Name),
    Column("url", Text, nullable=False),
    Column("queue", Name, nullable=False),  # host and tenant: what can be slow together
    Column("job", Name, nullable=False),
    Column("type", Name, nullable=False),
    Column("body", Text, nullable=False),
    Column("trace", Text),
    Column("state", Name, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("log", Json, nullable=False),
)
Index(
    "webhook_calls_waiting",
    webhook_calls.c.queue,
    webhook_calls.c.next_at,
    postgresql_where=text(WAITING),
    sqlite_where=text(WAITING),
)
Index(
    "webhook_calls_listed",
    webhook_calls.c.tenant,
    webhook_calls.c.created_at,
    webhook_calls.c.id,
)
Index("webhook_calls_made", webhook_calls.c.created_at, webhook_calls.c.id)
Index("webhook_calls_of_job", webhook_calls.c.job)
