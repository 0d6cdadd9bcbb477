"""Which engines can load artefacts of which formats. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0020"
down_revision: Final = "0018"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "catalog_formats",
        sa.Column("format", NAME, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("card", JSON, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("format", "lane", name="catalog_formats_pkey"),
    )
