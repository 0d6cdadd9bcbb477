"""Dead letters, the audit, schedules and their fires, answers to repeat; ages to purge by."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0003"
down_revision: Final = "0002"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("retry_of", NAME))
    _partial("jobs_ended", "jobs", ["finished_at"], "finished_at IS NOT NULL")
    op.create_index("idempotency_keys_age", "idempotency_keys", ["created_at"])
    _dead_letters()
    _audit()
    _schedules()
    _fires()
    _answers()


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("message", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("fingerprint", NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("tenant", NAME),
        sa.Column("job", NAME),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("parked_at", INSTANT, nullable=False),
        sa.Column("replay_at", INSTANT),
        sa.Column("settled_at", INSTANT),
        sa.Column("settled", NAME),
        sa.Column("settled_by", sa.Text()),
        sa.Column("retried_as", NAME),
        sa.PrimaryKeyConstraint("number", name="dead_letters_pkey"),
        sa.UniqueConstraint("message", "reason", name="dead_letters_message_reason_key"),
        sqlite_autoincrement=True,
    )
    table, planned = "dead_letters", "replay_at IS NOT NULL AND settled_at IS NULL"
    _partial("dead_letters_open", table, ["fingerprint", "number"], "settled_at IS NULL")
    _partial("dead_letters_planned", table, ["path", "replay_at"], planned)
    op.create_index("dead_letters_job", table, ["job"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", NAME, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="audit_pkey"),
        sqlite_autoincrement=True,
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", NAME, nullable=False),
        sa.Column("job", JSON, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("last_at", INSTANT),
        sa.Column("last_error", sa.Text()),
        sa.Column("paused_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="schedules_pkey"),
    )
    op.create_index("schedules_listed", "schedules", ["tenant", "created_at", "id"])
    active = "paused_at IS NULL AND next_at IS NOT NULL"
    _partial("schedules_due", "schedules", ["path", "next_at"], active)


def _fires() -> None:
    op.create_table(
        "fires",
        sa.Column("schedule", NAME, nullable=False),
        sa.Column("fire_at", INSTANT, nullable=False),
        sa.Column("job", NAME),
        sa.Column("error", sa.Text()),
        sa.Column("fired_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("schedule", "fire_at", name="fires_pkey"),
    )
    op.create_index("fires_age", "fires", ["fired_at"])


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("route", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("fingerprint", NAME, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "route", "key", name="answers_pkey"),
    )
    op.create_index("answers_age", "answers", ["created_at"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
