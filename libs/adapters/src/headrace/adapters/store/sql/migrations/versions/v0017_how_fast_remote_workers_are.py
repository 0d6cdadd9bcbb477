"""How fast a remote worker has been. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0017"
down_revision: Final = "0016"


def upgrade() -> None:
    op.add_column("remote_workers", sa.Column("speed", sa.Double()))
