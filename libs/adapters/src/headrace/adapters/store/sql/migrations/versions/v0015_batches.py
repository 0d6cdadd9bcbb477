"""Batches, how many of their items have ended, and the items. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0015"
down_revision: Final = "0014"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("model", NAME),
        sa.Column("source", NAME, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("api_key", NAME),
        sa.Column("trace", sa.Text()),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("read_to", sa.Integer(), nullable=False),
        sa.Column("not_before", INSTANT, nullable=False),
        sa.Column("held_up", sa.Text()),
        sa.Column("cancel_asked_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="batches_pkey"),
    )
    op.create_index("batches_listed", "batches", ["tenant", "created_at", "id"])
    op.create_index("batches_made", "batches", ["created_at", "id"])
    _partial("batches_to_begin", "batches", ["path", "not_before"], "begun < total")
    ending = "cancel_asked_at IS NOT NULL AND finished_at IS NULL"
    _partial("batches_ending", "batches", ["path"], ending)
    _partial("batches_going_of", "batches", ["tenant"], "finished_at IS NULL")
    _partial("batches_age", "batches", ["finished_at"], "finished_at IS NOT NULL")
    op.create_table(
        "batch_tallies",
        sa.Column("batch", NAME, nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("total", "last", "succeeded", "failed", "cancelled", "dead", "rejected")
        ),
        sa.PrimaryKeyConstraint("batch", name="batch_tallies_pkey"),
    )
    op.create_table(
        "batch_items",
        sa.Column("batch", NAME, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("custom_id", NAME),
        sa.Column("job", NAME),
        sa.Column("state", NAME, nullable=False),
        sa.Column("error", JSON),
        sa.Column("number", sa.Integer()),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("batch", "place", name="batch_items_pkey"),
    )
    _partial("batch_items_open", "batch_items", ["batch", "job"], "number IS NULL")
    _partial("batch_items_ended", "batch_items", ["batch", "number"], "number IS NOT NULL")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
