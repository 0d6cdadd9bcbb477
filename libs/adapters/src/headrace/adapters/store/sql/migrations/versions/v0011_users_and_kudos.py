"""Users, what they have and how they came by it, and what a job costs. Adds only: 0010 works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
NOW: Final = {
    "postgresql": "now()",
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')",
}
UNENDED: Final = "price IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'cancelling')"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("price", NUMBER))
    condition = sa.text(UNENDED)
    op.create_index(
        "jobs_paid", "jobs", ["tenant"], postgresql_where=condition, sqlite_where=condition
    )
    _users()
    op.create_table(
        "postings",
        sa.Column("entry", NAME, nullable=False),
        sa.Column("account", NUMBER, nullable=False),
        sa.Column("counter", NUMBER, nullable=False),
        sa.Column("amount", NUMBER, nullable=False),
        sa.Column("reason", NAME, nullable=False),
        sa.Column("job", NAME),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("entry", "account", name="postings_pkey"),
    )
    op.create_index("postings_of", "postings", ["account", "at", "entry"])
    op.create_table(
        "shared_keys",
        sa.Column("key", NAME, nullable=False),
        sa.Column("owner", NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kudos", NUMBER),
        sa.Column("used", NUMBER, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("max_image_pixels", sa.Integer()),
        sa.Column("max_image_steps", sa.Integer()),
        sa.Column("max_text_tokens", sa.Integer()),
        sa.PrimaryKeyConstraint("key", name="shared_keys_pkey"),
    )
    op.create_index("shared_keys_of", "shared_keys", ["owner"])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("trusted", sa.Integer(), nullable=False),
        sa.Column("moderator", sa.Integer(), nullable=False),
        sa.Column("floor", NUMBER),
        sa.Column("balance", NUMBER, nullable=False),
        sa.Column("held", NUMBER, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="users_pkey"),
        sa.UniqueConstraint("tenant", name="users_tenant_key"),
        sa.CheckConstraint("floor IS NULL OR balance - held >= floor", name="users_above_floor"),
        sa.CheckConstraint("held >= 0", name="users_held"),
        sqlite_autoincrement=True,
    )
    # Who shows no key, or the one that everybody knows: little at a time, and at nobody's cost.
    now = NOW[op.get_bind().dialect.name]
    op.execute(
        "INSERT INTO users (number, tenant, alias, concurrency, trusted, moderator, balance, held,"  # noqa: S608
        f" created_at) VALUES (0, 'local', 'Anonymous', 20, 0, 0, 0, 0, {now})"
    )
