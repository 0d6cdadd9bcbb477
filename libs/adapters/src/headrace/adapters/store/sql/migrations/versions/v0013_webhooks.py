"""Webhooks: who is told, what that is signed with, and each call. Adds only: 0009 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0013"
down_revision: Final = "0012"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook", JSON))
    _endpoints()
    op.create_table(
        "webhook_secrets",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("endpoint", NAME, nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old", sa.Text()),
        sa.Column("old_until", INSTANT),
        sa.PrimaryKeyConstraint("tenant", "endpoint", name="webhook_secrets_pkey"),
    )
    _calls()


def _endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("failing_since", INSTANT),
        sa.Column("disabled_at", INSTANT),
        sa.Column("disabled_why", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="webhook_endpoints_pkey"),
    )
    listed = ["tenant", "created_at", "id"]
    op.create_index("webhook_endpoints_listed", "webhook_endpoints", listed)
    _partial("webhook_endpoints_enabled", "webhook_endpoints", ["tenant"], "disabled_at IS NULL")


def _calls() -> None:
    op.create_table(
        "webhook_calls",
        sa.Column("id", NAME, nullable=False),
        sa.Column("message", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("endpoint", NAME),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text()),
        sa.Column("state", NAME, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.Column("log", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="webhook_calls_pkey"),
    )
    waiting = ["queue", "next_at"]
    _partial("webhook_calls_waiting", "webhook_calls", waiting, "state = 'waiting'")
    op.create_index("webhook_calls_listed", "webhook_calls", ["tenant", "created_at", "id"])
    op.create_index("webhook_calls_made", "webhook_calls", ["created_at", "id"])
    op.create_index("webhook_calls_of_job", "webhook_calls", ["job"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
