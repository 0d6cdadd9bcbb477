"""The first tables: jobs, outbox, attempts, idempotency keys, workers, catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0001"
down_revision: Final = None

# Said here again and not taken from the schema: a migration stays what it was.
NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

# Rows come and go: without this a queue drags its dead along until a fifth of the table is dead.
VACUUM_OFTEN: Final = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000"


def upgrade() -> None:
    _jobs()
    _indexes_of_jobs()
    _outbox()
    _attempts()
    _idempotency_keys()
    _workers()
    _catalog()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE outbox SET ({VACUUM_OFTEN})")
        op.execute(f"ALTER TABLE workers SET ({VACUUM_OFTEN})")


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=False),
        sa.Column("start_deadline", INSTANT),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("worker", NAME),
        sa.Column("claim", NAME),
        sa.Column("lease_until", INSTANT),
        sa.Column("not_before", INSTANT),
        sa.Column("cancel_asked_at", INSTANT),
        sa.Column("progress", sa.Double()),
        sa.Column("output", JSON),
        sa.Column("error", JSON),
        sa.Column("trace", sa.Text()),
        sa.Column("attempt_trace", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("number", name="jobs_pkey"),
        sa.UniqueConstraint("id", name="jobs_id_key"),
        sqlite_autoincrement=True,
    )


def _indexes_of_jobs() -> None:
    op.create_index("jobs_listed", "jobs", ["tenant", "created_at", "id"])
    _partial("jobs_scheduled", "jobs", ["path", "not_before"], "state = 'scheduled'")
    _partial("jobs_held", "jobs", ["path", "lease_until"], "state IN ('running', 'cancelling')")
    _partial(
        "jobs_start_deadlines",
        "jobs",
        ["path", "start_deadline"],
        "start_deadline IS NOT NULL AND state IN ('scheduled', 'queued')",
    )
    _partial(
        "jobs_cancel_wishes",
        "jobs",
        ["path", "cancel_asked_at"],
        "cancel_asked_at IS NOT NULL AND state IN ('scheduled', 'queued', 'running')",
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("trace", sa.Text()),
        sa.Column("reserved_until", INSTANT),
        sa.Column("sent_at", INSTANT),
        sa.PrimaryKeyConstraint("number", name="outbox_pkey"),
        sa.UniqueConstraint("job", name="outbox_job_key"),
    )
    unsent = ("path", "lane", "tenant", sa.text("priority DESC"), "number")
    _partial("outbox_unsent", "outbox", unsent, "sent_at IS NULL")
    offered = "(sent_at IS NOT NULL OR reserved_until IS NOT NULL)"
    _partial("outbox_offered", "outbox", ["path", "lane"], offered)
    _partial("outbox_sent", "outbox", ["path", "sent_at"], "sent_at IS NOT NULL")


def _partial(name: str, table: str, columns: Sequence[str | sa.TextClause], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("job", NAME, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("worker", NAME, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("outcome", NAME),
        sa.Column("error", JSON),
        sa.Column("stages", JSON),
        sa.PrimaryKeyConstraint("job", "attempt", name="attempts_pkey"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("fingerprint", NAME, nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="idempotency_keys_pkey"),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", NAME, nullable=False),
        sa.Column("slots", JSON, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="workers_pkey"),
    )


def _catalog() -> None:
    op.create_table(
        "catalog",
        sa.Column("kind", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("input_schema", JSON, nullable=False),
        sa.PrimaryKeyConstraint("kind", "model", name="catalog_pkey"),
    )
