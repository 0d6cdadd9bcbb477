"""Fair shares: terms of tenants, paused lanes, ageing in the outbox, and indexes to count by tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

# Said here again and not taken from the schema: a migration stays what it was.
NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

VACUUM_OFTEN: Final = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000"
NOT_STARTED: Final = "state IN ('scheduled', 'queued')"
OFFERED: Final = "(sent_at IS NOT NULL OR reserved_until IS NOT NULL)"
SINCE: Final = {
    "postgresql": "CAST(floor(extract(epoch FROM created_at) * 1000) AS BIGINT)",
    "sqlite": "CAST(round((julianday(created_at) - 2440587.5) * 86400000) AS INTEGER)",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    _partial("jobs_held_of", "jobs", ["tenant", "lane"], "state IN ('running', 'cancelling')")
    _partial("jobs_not_started_of", "jobs", ["tenant"], NOT_STARTED)
    _outbox()
    # Made anew from the jobs: what was offered is offered once more, which the claims settle.
    op.execute(
        "INSERT INTO outbox (number, job, epoch, tenant, lane, path, trace, since)"  # noqa: S608  # constants
        f" SELECT number, id, epoch, tenant, lane, path, trace, {SINCE[dialect]} - priority * 60000"
        " FROM jobs WHERE state = 'queued'"
    )
    if dialect == "postgresql":
        op.execute(f"ALTER TABLE outbox SET ({VACUUM_OFTEN})")
    _tenants_and_lanes()


def _outbox() -> None:
    op.drop_table("outbox")
    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("job", NAME, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("trace", sa.Text()),
        sa.Column("reserved_until", INSTANT),
        sa.Column("sent_at", INSTANT),
        sa.PrimaryKeyConstraint("number", name="outbox_pkey"),
        sa.UniqueConstraint("job", name="outbox_job_key"),
    )
    unsent = ("path", "lane", "tenant", "since", "number")
    _partial("outbox_unsent", "outbox", unsent, "sent_at IS NULL")
    _partial("outbox_offered", "outbox", ["path", "lane"], OFFERED)
    _partial("outbox_offered_of", "outbox", ["tenant", "lane"], OFFERED)
    _partial("outbox_sent", "outbox", ["path", "sent_at"], "sent_at IS NOT NULL")


def _partial(name: str, table: str, columns: Sequence[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def _tenants_and_lanes() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", NAME, nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("max_running", sa.Integer()),
        sa.Column("max_running_per_lane", sa.Integer()),
        sa.Column("max_queued", sa.Integer()),
        sa.PrimaryKeyConstraint("name", name="tenants_pkey"),
    )
    op.create_table(
        "lanes",
        sa.Column("name", NAME, nullable=False),
        sa.Column("paused_at", INSTANT),
        sa.PrimaryKeyConstraint("name", name="lanes_pkey"),
    )
