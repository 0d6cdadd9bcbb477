"""The tables of workers that come by HTTP: who they are, and which jobs they took."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, Index, Integer, Table, Text, UniqueConstraint

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name, Number

remote_workers: Final = Table(
    "remote_workers",
    metadata,
    Column("id", Name, primary_key=True),
    Column("name", Name, nullable=False),
    Column("tenant", Name, nullable=False),  # whose it is
    Column("kind", Name, nullable=False),
    Column("said", Json, nullable=False),  # what it last said of itself
    Column("info", Text),
    Column("maintenance", Text),  # why it is not to work; empty: it is
    Column("paused", Integer, nullable=False),  # 1 or 0
    Column("trusted", Integer, nullable=False),  # 1 or 0
    Column("fulfilled", Number, nullable=False),
    Column("faulted", Number, nullable=False),
    Column("earned", Double, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    UniqueConstraint("name"),
)
Index("remote_workers_of", remote_workers.c.tenant, remote_workers.c.id)

takes: Final = Table(
    "takes",
    metadata,
    Column("claim", Name, primary_key=True),
    Column("job", Name, nullable=False),
    Column("tenant", Name, nullable=False),  # whose job
    Column("epoch", Integer, nullable=False),
    Column("worker", Name, nullable=False),
    Column("model", Name, nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("settled_at", Instant),  # its result was taken down
)
Index("takes_age", takes.c.granted_at)
Index("takes_job", takes.c.job)

secrets: Final = Table(
    "secrets",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", Text, nullable=False),  # signs links that every process of ours can read
)
