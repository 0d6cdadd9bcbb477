"""The tables of runs: each with its stages as they were when it began, and a row for each piece of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, Index, Integer, Table, Text, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name

ENDING: Final = "state IN ('failing', 'cancelling')"
HURRYING: Final = "state = 'running' AND deadline_at IS NOT NULL"
OVER: Final = "finished_at IS NOT NULL"

runs: Final = Table(
    "runs",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("pipeline", Name, nullable=False),
    Column("stages", Json, nullable=False),
    Column("input", Json, nullable=False),
    Column("path", Name, nullable=False),
    Column("state", Name, nullable=False),
    Column("error", Json),
    Column("labels", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("api_key", Name),
    Column("trace", Text),
    Column("deadline_s", Double),
    Column("deadline_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
Index("runs_listed", runs.c.tenant, runs.c.created_at, runs.c.id)
Index("runs_ending", runs.c.path, postgresql_where=text(ENDING), sqlite_where=text(ENDING))
Index(
    "runs_overdue",
    runs.c.path,
    runs.c.deadline_at,
    postgresql_where=text(HURRYING),
    sqlite_where=text(HURRYING),
)
Index("runs_age", runs.c.finished_at, postgresql_where=text(OVER), sqlite_where=text(OVER))
Index(
    "runs_over_of",
    runs.c.tenant,
    runs.c.finished_at,
    postgresql_where=text(OVER),
    sqlite_where=text(OVER),
)

run_stages: Final = Table(
    "run_stages",
    metadata,
    # However many dispatchers end a stage at once: a piece has one row, and a row one try at a time.
    Column("run", Name, primary_key=True),
    Column("stage", Name, primary_key=True),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("tries", Integer, nullable=False),
    Column("state", Name, nullable=False),
    Column("job", Name),
    Column("output", Json),
    Column("error", Json),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
)
