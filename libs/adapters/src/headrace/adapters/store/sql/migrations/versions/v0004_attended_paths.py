"""Who attends to which path, and whose dispatchers hear a worker. Adds only: 0003 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "paths",
        sa.Column("name", NAME, nullable=False),
        sa.Column("attended_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="paths_pkey"),
    )
    # Empty where a dispatcher of 0003 heard the worker: it counts for every path.
    op.add_column("workers", sa.Column("path", NAME))
