"""Workers that come by HTTP: who they are, what jobs want of them, and which they took. Adds only: 0011 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0012"
down_revision: Final = "0011"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
WANTING: Final = "wants IS NOT NULL"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("wants", NAME))
    op.add_column("jobs", sa.Column("payload", JSON))
    op.add_column("outbox", sa.Column("wants", NAME))
    _partial("outbox_wants", ["path", "wants"])
    _partial("outbox_wants_of", ["path", "tenant", "wants", "since", "number"])
    op.create_table(
        "remote_workers",
        sa.Column("id", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("said", JSON, nullable=False),
        sa.Column("info", sa.Text()),
        sa.Column("maintenance", sa.Text()),
        sa.Column("paused", sa.Integer(), nullable=False),
        sa.Column("trusted", sa.Integer(), nullable=False),
        sa.Column("fulfilled", NUMBER, nullable=False),
        sa.Column("faulted", NUMBER, nullable=False),
        sa.Column("earned", sa.Double(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="remote_workers_pkey"),
        sa.UniqueConstraint("name", name="remote_workers_name_key"),
    )
    op.create_index("remote_workers_of", "remote_workers", ["tenant", "id"])
    op.create_table(
        "takes",
        sa.Column("claim", NAME, nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("worker", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("granted_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("claim", name="takes_pkey"),
    )
    op.create_index("takes_age", "takes", ["granted_at"])
    op.create_table(
        "secrets",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="secrets_pkey"),
    )


def _partial(name: str, columns: list[str]) -> None:
    condition = sa.text(WANTING)
    op.create_index(name, "outbox", columns, postgresql_where=condition, sqlite_where=condition)
