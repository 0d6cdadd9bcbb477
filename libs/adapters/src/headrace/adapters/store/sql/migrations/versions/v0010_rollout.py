"""A staged rollout, who applies it, and shadows with what they showed. Adds only: 0007 works on it too.

But a build of 0007 knows no shadow for one: turn shadows off before going back to it.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0010"
down_revision: Final = "0009"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
COUNTS: Final = "finished_at IS NOT NULL AND shadow_of IS NULL"
IS_SHADOW: Final = "shadow_of IS NOT NULL"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("shadow_of", NAME))
    op.add_column("jobs", sa.Column("shadow_tenant", NAME))
    _partial("jobs_ended_on", ["path", "finished_at"], COUNTS)
    _partial("jobs_shadows", ["shadow_of"], IS_SHADOW)
    op.create_table(
        "rollout",
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("said", JSON, nullable=False),
        sa.Column("tripped", JSON),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="rollout_pkey"),
    )
    op.create_table(
        "replicas",
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="replicas_pkey"),
    )
    op.create_table(
        "comparisons",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("shadow", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("same", sa.Integer(), nullable=False),
        sa.Column("diff", JSON, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="comparisons_pkey"),
        sqlite_autoincrement=True,
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "jobs", columns, postgresql_where=condition, sqlite_where=condition)
