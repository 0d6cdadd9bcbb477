"""The tables of a rollout: what holds, who applies it, and what shadows showed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Identity, Integer, Table, Text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name, Number

rollout: Final = Table(
    "rollout",
    metadata,
    Column("name", Name, primary_key=True),  # one row
    Column("version", Integer, nullable=False),
    Column("said", Json, nullable=False),
    Column("tripped", Json),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text),
)

replicas: Final = Table(
    "replicas",
    metadata,
    Column("name", Name, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

comparisons: Final = Table(
    "comparisons",
    metadata,
    Column("number", Number, Identity(), primary_key=True),
    Column("job", Name, nullable=False),
    Column("shadow", Name, nullable=False),
    Column("tenant", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("path", Name, nullable=False),
    Column("same", Integer, nullable=False),  # 1 or 0
    Column("diff", Json, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
