"""Schedules that begin runs, and a list of everybody's. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0021"
down_revision: Final = "0019"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
BEGINNING: Final = sa.text("paused_at IS NULL AND run_next_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("schedules", sa.Column("run", JSON))
    op.add_column("schedules", sa.Column("run_next_at", INSTANT))
    op.add_column("fires", sa.Column("run", NAME))
    op.create_index("schedules_of_all", "schedules", ["created_at", "id"])
    op.create_index(
        "schedules_beginning",
        "schedules",
        ["path", "run_next_at"],
        postgresql_where=BEGINNING,
        sqlite_where=BEGINNING,
    )
