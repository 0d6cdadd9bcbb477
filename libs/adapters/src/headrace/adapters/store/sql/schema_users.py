"""The tables of users: who they are and what they have, the ledger, and the keys they share."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Identity, Index, Integer, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Name, Number

# Decided in the core, under a lock; this is here so that a wrong decision fails instead of holding.
ABOVE_FLOOR: Final = "floor IS NULL OR balance - held >= floor"

users: Final = Table(
    "users",
    metadata,
    Column("number", Number, Identity(), primary_key=True),  # 0 is anonymous, made with the schema
    Column("tenant", Name, nullable=False),
    Column("alias", Text, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("trusted", Integer, nullable=False),  # 1 or 0, as the next
    Column("moderator", Integer, nullable=False),
    Column("floor", Number),
    Column("balance", Number, nullable=False),  # the sum of its postings; milli-kudos, as all here
    Column("held", Number, nullable=False),  # the price of its jobs that have not ended
    Column("created_at", Instant, nullable=False),
    Unique("tenant"),
    CheckConstraint(ABOVE_FLOOR, name="users_above_floor"),
    CheckConstraint("held >= 0", name="users_held"),
    sqlite_autoincrement=True,
)

# Rows are inserted, and nothing else. An entry has two: so much for one account, so much less for the other.
postings: Final = Table(
    "postings",
    metadata,
    Column("entry", Name, primary_key=True),
    Column("account", Number, primary_key=True, autoincrement=False),  # -1 is the bank
    Column("counter", Number, nullable=False),
    Column("amount", Number, nullable=False),
    Column("reason", Name, nullable=False),
    Column("job", Name),
    Column("at", Instant, nullable=False),
)
Index("postings_of", postings.c.account, postings.c.at, postings.c.entry)

shared_keys: Final = Table(
    "shared_keys",
    metadata,
    Column("key", Name, primary_key=True),  # the API key's id
    Column("owner", Number, nullable=False),
    Column("name", Text, nullable=False),
    Column("kudos", Number),
    Column("used", Number, nullable=False),
    Column("expires_at", Instant),
    Column("max_image_pixels", Integer),
    Column("max_image_steps", Integer),
    Column("max_text_tokens", Integer),
)
Index("shared_keys_of", shared_keys.c.owner)
