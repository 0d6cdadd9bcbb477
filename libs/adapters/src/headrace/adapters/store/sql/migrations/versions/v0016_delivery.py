"""Deletions, and what is left of them; uploads; answers know whom they are about. Adds only."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0016"
down_revision: Final = "0015"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNFINISHED: Final = "finished_at IS NULL"


def upgrade() -> None:
    _deletions()
    _uploads()
    op.create_index("idempotency_keys_job", "idempotency_keys", ["job"])
    op.create_index("takes_job", "takes", ["job"])
    op.add_column("answers", sa.Column("about", NAME))
    op.add_column("blob_uses", sa.Column("made", sa.Integer()))
    _partial("answers_about", "answers", ["about"], "about IS NOT NULL")


def _deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("sweep", JSON),
        sa.Column("removed", JSON, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="deletions_pkey"),
    )
    _partial("deletions_due", "deletions", ["next_at"], UNFINISHED)
    _partial("deletions_open", "deletions", ["tenant"], UNFINISHED)
    _partial("deletions_age", "deletions", ["finished_at"], "finished_at IS NOT NULL")
    op.create_index("deletions_of", "deletions", ["tenant", "subject", "asked_at"])
    op.create_table(
        "remnants",
        sa.Column("deletion", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.PrimaryKeyConstraint("deletion", "kind", "tenant", "name", name="remnants_pkey"),
    )
    op.create_table(
        "erased",
        sa.Column("job", NAME, nullable=False),
        sa.Column("deletion", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.PrimaryKeyConstraint("job", name="erased_pkey"),
    )
    op.create_index("erased_by", "erased", ["deletion"])


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("blob", NAME, nullable=False),
        sa.Column("media_type", NAME, nullable=False),
        sa.Column("length", NUMBER, nullable=False),
        sa.Column("received", NUMBER, nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("held_by", NAME),
        sa.Column("held_until", INSTANT),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="uploads_pkey"),
    )
    op.create_index("uploads_expiring", "uploads", ["expires_at"])
    _partial("uploads_under_way", "uploads", ["tenant"], UNFINISHED)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
