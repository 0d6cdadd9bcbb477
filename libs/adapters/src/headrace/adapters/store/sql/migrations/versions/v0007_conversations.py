"""Which conversation a job belongs to. Adds only: 0006 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("conversation", NAME))
    condition = sa.text("conversation IS NOT NULL")
    op.create_index(
        "jobs_said",
        "jobs",
        ["tenant", "conversation", "created_at", "id"],
        postgresql_where=condition,
        sqlite_where=condition,
    )
