"""Runs of pipelines and the pieces of their stages. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0014"
down_revision: Final = "0013"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("pipeline", NAME, nullable=False),
        sa.Column("stages", JSON, nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("error", JSON),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("api_key", NAME),
        sa.Column("trace", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="runs_pkey"),
    )
    op.create_index("runs_listed", "runs", ["tenant", "created_at", "id"])
    _partial("runs_ending", ["path"], "state IN ('failing', 'cancelling')")
    _partial("runs_age", ["finished_at"], "finished_at IS NOT NULL")
    op.create_table(
        "run_stages",
        sa.Column("run", NAME, nullable=False),
        sa.Column("stage", NAME, nullable=False),
        sa.Column("piece", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("job", NAME),
        sa.Column("output", JSON),
        sa.Column("error", JSON),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("run", "stage", "piece", name="run_stages_pkey"),
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "runs", columns, postgresql_where=condition, sqlite_where=condition)
