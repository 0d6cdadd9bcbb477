"""The tables of deletions: each wish, what of it is still to go, and which jobs are gone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Integer, Table, Text, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name

UNFINISHED: Final = "finished_at IS NULL"
FINISHED: Final = "finished_at IS NOT NULL"

deletions: Final = Table(
    "deletions",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("subject", Name, nullable=False),
    Column("who", Text, nullable=False),
    Column("sweep", Json),
    Column("removed", Json, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", Instant),
    Column("asked_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
Index(
    "deletions_due",
    deletions.c.next_at,
    postgresql_where=text(UNFINISHED),
    sqlite_where=text(UNFINISHED),
)
Index(
    "deletions_open",
    deletions.c.tenant,
    postgresql_where=text(UNFINISHED),
    sqlite_where=text(UNFINISHED),
)
Index(
    "deletions_age",
    deletions.c.finished_at,
    postgresql_where=text(FINISHED),
    sqlite_where=text(FINISHED),
)
Index("deletions_of", deletions.c.tenant, deletions.c.subject, deletions.c.asked_at)

remnants: Final = Table(
    "remnants",
    metadata,
    Column("deletion", Name, primary_key=True),
    Column("kind", Name, primary_key=True),
    Column("tenant", Name, primary_key=True),
    Column("name", Name, primary_key=True),
)

# What still speaks of one of these comes too late.
erased: Final = Table(
    "erased",
    metadata,
    Column("job", Name, primary_key=True),
    Column("deletion", Name, nullable=False),
    Column("owner", Name, nullable=False),  # whose blobs it read and wrote
)
Index("erased_by", erased.c.deletion)
