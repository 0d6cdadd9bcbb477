"""API keys, and which of them a job was submitted with. Adds only: 0007 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0008"
down_revision: Final = "0007"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("api_key", NAME))
    op.create_table(
        "api_keys",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        sa.Column("last_used_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="api_keys_pkey"),
        sa.UniqueConstraint("digest", name="api_keys_digest_key"),
    )
    op.create_index("api_keys_listed", "api_keys", ["created_at", "id"])
    op.create_index("api_keys_of", "api_keys", ["tenant", "created_at", "id"])
