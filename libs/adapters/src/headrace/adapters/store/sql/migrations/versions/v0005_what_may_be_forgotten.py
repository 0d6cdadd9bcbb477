"""Who names a blob, when an engine was last announced, what is wrong with a lane; offers by lane.

Adds only: 0004 works on it too. But what it takes in names no blob here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
SENT: Final = "sent_at IS NOT NULL"
BATCH: Final = 500
NAMED: Final = re.compile(r"[0-9a-z._-]{1,64}")
JOBS: Final = sa.text(
    "SELECT number, tenant, id, input, output FROM jobs WHERE number > :last"
    " ORDER BY number LIMIT :limit"
)
SCHEDULES: Final = sa.text("SELECT tenant, id, job AS input, NULL AS output FROM schedules")


def upgrade() -> None:
    op.add_column("lanes", sa.Column("trouble", sa.Text()))
    _offers_by_lane()
    op.add_column("catalog", sa.Column("seen_at", INSTANT))
    _blob_uses()


def _offers_by_lane() -> None:
    op.drop_index("outbox_sent", "outbox")
    columns, condition = ["path", "lane", "sent_at"], sa.text(SENT)
    op.create_index(
        "outbox_sent", "outbox", columns, postgresql_where=condition, sqlite_where=condition
    )


def _blob_uses() -> None:
    made = op.create_table(
        "blob_uses",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("blob", NAME, nullable=False),
        sa.Column("used_by", NAME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "blob", "used_by", name="blob_uses_pkey"),
    )
    op.create_index("blob_uses_by", "blob_uses", ["used_by"])
    bind, last = op.get_bind(), 0
    while rows := bind.execute(JOBS, {"last": last, "limit": BATCH}).all():
        last = rows[-1].number
        _note(made, {(row.tenant, blob, row.id) for row in rows for blob in _named(row)})
    schedules = bind.execute(SCHEDULES).all()
    _note(made, {(row.tenant, blob, row.id) for row in schedules for blob in _named(row)})


def _note(table: sa.Table, uses: set[tuple[str, str, str]]) -> None:
    if uses:
        names = ("tenant", "blob", "used_by")
        op.bulk_insert(table, [dict(zip(names, use, strict=True)) for use in sorted(uses)])


def _named(row: Any) -> Iterator[str]:
    """What a job's row says. Of an input or output that is a blob itself, that blob alone."""
    for value in (row.input, row.output):
        yield from _blobs(json.loads(value) if isinstance(value, str) else value)


def _blobs(value: Any) -> Iterator[str]:
    match value:
        case {"blob": str(blob)} | {"input_blob": str(blob)} | {"output_blob": str(blob)}:
            if len(value) == 1 and NAMED.fullmatch(blob):
                yield blob
        case dict():
            for member in value.values():
                yield from _blobs(member)
        case list():
            for member in value:
                yield from _blobs(member)
        case _:
            return
