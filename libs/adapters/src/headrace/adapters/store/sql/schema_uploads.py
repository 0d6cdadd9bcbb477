"""The table of uploads."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Integer, Table, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Name, Number

UNDER_WAY: Final = "finished_at IS NULL"

uploads: Final = Table(
    "uploads",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("blob", Name, nullable=False),
    Column("media_type", Name, nullable=False),
    Column("length", Number, nullable=False),
    Column("received", Number, nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("held_by", Name),
    Column("held_until", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
Index("uploads_expiring", uploads.c.expires_at)
Index(
    "uploads_under_way",
    uploads.c.tenant,
    postgresql_where=text(UNDER_WAY),
    sqlite_where=text(UNDER_WAY),
)
