"""Jobs that are cancelled when nobody watches them any longer. Adds only: 0005 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
WATCHED: Final = (
    "watched_until IS NOT NULL AND cancel_asked_at IS NULL"
    " AND state IN ('scheduled', 'queued', 'running')"
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("cancel_after_s", sa.Double()))
    op.add_column("jobs", sa.Column("watched_until", INSTANT))
    op.add_column("jobs", sa.Column("cancel_reason", NAME))
    condition = sa.text(WATCHED)
    op.create_index(
        "jobs_watched",
        "jobs",
        ["path", "watched_until"],
        postgresql_where=condition,
        sqlite_where=condition,
    )
