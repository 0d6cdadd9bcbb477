"""What operators ask for: jobs of all tenants, the oldest of a lane, workers to drain. Adds only: 0007 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0009"
down_revision: Final = "0008"

INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = sa.Text().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_index("jobs_made", "jobs", ["created_at", "id"])
    _partial("jobs_gone_wrong", ["created_at", "id"], "state IN ('failed', 'dead')")
    _partial("jobs_oldest", ["lane", "not_before", "created_at"], "state = 'queued'")
    op.add_column("workers", sa.Column("drain_asked_at", INSTANT))
    op.add_column("workers", sa.Column("vitals", JSON))


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "jobs", columns, postgresql_where=condition, sqlite_where=condition)
