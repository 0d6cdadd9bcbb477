"""The tables of batches: each with a count of its own, and a row for each item that has begun."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Double, Index, Integer, Table, Text, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name

UNBEGUN: Final = "begun < total"
ENDING: Final = "cancel_asked_at IS NOT NULL AND finished_at IS NULL"
GOING: Final = "finished_at IS NULL"
OVER: Final = "finished_at IS NOT NULL"
OPEN: Final = "number IS NULL"
ENDED: Final = "number IS NOT NULL"

batches: Final = Table(
    "batches",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("path", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("model", Name),
    Column("source", Name, nullable=False),  # the blob whose lines its items are
    Column("total", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("timeout_s", Double, nullable=False),
    Column("labels", Json, nullable=False),
    Column("api_key", Name),
    Column("trace", Text),
    Column("begun", Integer, nullable=False),  # items that have a row
    Column("read_to", Integer, nullable=False),  # where in the source the next one is
    Column("not_before", Instant, nullable=False),  # who begins items has it until then
    Column("held_up", Text),
    Column("cancel_asked_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
Index("batches_listed", batches.c.tenant, batches.c.created_at, batches.c.id)
Index("batches_made", batches.c.created_at, batches.c.id)  # of all tenants, for operators


def _partial(name: str, *columns: Column[Any], where: str) -> Index:
    condition = text(where)
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


_partial("batches_to_begin", batches.c.path, batches.c.not_before, where=UNBEGUN)
_partial("batches_ending", batches.c.path, where=ENDING)
_partial("batches_going_of", batches.c.tenant, where=GOING)
_partial("batches_age", batches.c.finished_at, where=OVER)

# Apart from the batch, and with no index but its key: whoever ends jobs writes here, and rewrites one row
# in its place.
batch_tallies: Final = Table(
    "batch_tallies",
    metadata,
    Column("batch", Name, primary_key=True),
    Column("total", Integer, nullable=False),
    Column("last", Integer, nullable=False),  # the number of the latest end
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("dead", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
)

batch_items: Final = Table(
    "batch_items",
    metadata,
    Column("batch", Name, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("custom_id", Name),
    Column("job", Name),
    Column("state", Name, nullable=False),
    Column("error", Json),  # of one that no job was made of
    Column("number", Integer),  # in the order of ending
    Column("ended_at", Instant),
)
_partial("batch_items_open", batch_items.c.batch, batch_items.c.job, where=OPEN)
_partial("batch_items_ended", batch_items.c.batch, batch_items.c.number, where=ENDED)
