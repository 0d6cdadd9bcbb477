"""A run may have a deadline. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0023"
down_revision: Final = "0022"

INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
HURRYING: Final = sa.text("state = 'running' AND deadline_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("runs", sa.Column("deadline_s", sa.Double))
    op.add_column("runs", sa.Column("deadline_at", INSTANT))
    op.create_index(
        "runs_overdue",
        "runs",
        ["path", "deadline_at"],
        postgresql_where=HURRYING,
        sqlite_where=HURRYING,
    )
