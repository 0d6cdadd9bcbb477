"""What attempts leave behind for the next. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0018"
down_revision: Final = "0016"

JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("checkpoint", JSON))
    op.add_column("attempts", sa.Column("resumed_step", sa.Integer()))
