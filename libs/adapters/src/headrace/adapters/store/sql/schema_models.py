"""The tables of registered models: names, versions, the history of routes, and what people think of results."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, Index, Integer, Table, Text, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name, Number

SHARED: Final = "shared_at IS NOT NULL"

models: Final = Table(
    "models",
    metadata,
    # However many register one name at once: its row gives the numbers out, and never one twice.
    Column("tenant", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("latest", Integer, nullable=False),
    Column("route", Integer, nullable=False),  # the number of the one that holds; 0: none yet
    Column("shared_at", Instant),
    Column("created_at", Instant, nullable=False),
)
Index(
    "models_shared",
    models.c.name,
    unique=True,
    postgresql_where=text(SHARED),
    sqlite_where=text(SHARED),
)

model_versions: Final = Table(
    "model_versions",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("blob", Name, nullable=False),
    Column("format", Name, nullable=False),
    Column("sha256", Name, nullable=False),
    Column("bytes", Number, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("data", Text, nullable=False),
    Column("job", Name),
    Column("note", Text, nullable=False),
    Column("made_by", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
    Column("retired_by", Name),
)

model_routes: Final = Table(
    "model_routes",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("weights", Json, nullable=False),
    Column("how", Name, nullable=False),
    Column("restores", Integer),
    Column("changed_by", Name, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

feedback: Final = Table(
    "feedback",
    metadata,
    Column("job", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("value", Double, nullable=False),
    Column("at", Instant, nullable=False),
)

formats: Final = Table(
    "formats",
    metadata,
    # Which artefacts of registered models a lane's engine can serve, beside models of its own.
    Column("lane", Name, primary_key=True),
    Column("format", Name, primary_key=True),
    Column("kind", Name, nullable=False),
    Column("title", Text, nullable=False),
    Column("input_schema", Json, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
