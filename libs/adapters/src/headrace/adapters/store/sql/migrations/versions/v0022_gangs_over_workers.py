"""Jobs that several workers run together. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0022"
down_revision: Final = "0021"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
GANGS: Final = sa.text("nodes IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("nodes", sa.Integer()))
    op.add_column("jobs", sa.Column("gpus", sa.Integer()))
    op.add_column("outbox", sa.Column("nodes", sa.Integer()))
    op.add_column("attempts", sa.Column("members", JSON))
    op.add_column("catalog", sa.Column("nodes", sa.Integer()))
    op.create_index(
        "outbox_gangs",
        "outbox",
        ["path", "since", "number"],
        postgresql_where=GANGS,
        sqlite_where=GANGS,
    )
    op.create_table(
        "gang_members",
        sa.Column("job", NAME, primary_key=True),
        sa.Column("worker", NAME, primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claim", NAME, nullable=False),
        sa.Column("reply_to", NAME, nullable=False),
        sa.Column("at", NAME, nullable=False),
        sa.Column("rank", sa.Integer()),
        sa.Column("joined_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
    )
    op.create_index("gang_members_of_worker", "gang_members", ["worker"])
