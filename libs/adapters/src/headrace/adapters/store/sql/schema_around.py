"""The tables around the jobs: dead letters, audit, schedules and fires, answers to repeat, keys, uses of blobs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Identity, Index, Integer, Table, Text, UniqueConstraint, text

from headrace.adapters.store.sql.schema import metadata
from headrace.adapters.store.sql.types import Instant, Json, Name, Number

OPEN: Final = "settled_at IS NULL"
PLANNED: Final = "replay_at IS NOT NULL AND settled_at IS NULL"
ACTIVE: Final = "paused_at IS NULL AND next_at IS NOT NULL"
BEGINNING: Final = "paused_at IS NULL AND run_next_at IS NOT NULL"

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("number", Number, Identity(), primary_key=True),
    Column("source", Name, nullable=False),
    Column("message", Name, nullable=False),  # the broker's id of it, or the job's
    Column("reason", Text, nullable=False),
    Column("fingerprint", Name, nullable=False),
    Column("title", Text, nullable=False),
    Column("path", Name, nullable=False),
    Column("queue", Name, nullable=False),
    Column("tenant", Name),
    Column("job", Name),
    Column("headers", Json, nullable=False),
    Column("body", Text, nullable=False),  # base64: what nobody could read may be any bytes
    Column("size", Integer, nullable=False),
    Column("parked_at", Instant, nullable=False),
    Column("replay_at", Instant),
    Column("settled_at", Instant),
    Column("settled", Name),
    Column("settled_by", Text),
    Column("retried_as", Name),
    UniqueConstraint("message", "reason"),
    sqlite_autoincrement=True,
)
Index(
    "dead_letters_open",
    dead_letters.c.fingerprint,
    dead_letters.c.number,
    postgresql_where=text(OPEN),
    sqlite_where=text(OPEN),
)
Index(
    "dead_letters_planned",
    dead_letters.c.path,
    dead_letters.c.replay_at,
    postgresql_where=text(PLANNED),
    sqlite_where=text(PLANNED),
)
Index("dead_letters_job", dead_letters.c.job)

audit: Final = Table(
    "audit",
    metadata,
    Column("number", Number, Identity(), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Name, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Json, nullable=False),
    sqlite_autoincrement=True,
)

schedules: Final = Table(
    "schedules",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("cron", Text, nullable=False),
    Column("timezone", Name, nullable=False),
    Column("job", Json, nullable=False),
    Column("path", Name, nullable=False),
    Column("next_at", Instant),
    Column("last_at", Instant),
    Column("last_error", Text),
    Column("paused_at", Instant),
    Column("created_at", Instant, nullable=False),
    # Of one that begins runs, whose `next_at` is NULL: a dispatcher of the build before would find no job in it.
    Column("run", Json),
    Column("run_next_at", Instant),
)
Index("schedules_listed", schedules.c.tenant, schedules.c.created_at, schedules.c.id)
Index("schedules_of_all", schedules.c.created_at, schedules.c.id)
Index(
    "schedules_due",
    schedules.c.path,
    schedules.c.next_at,
    postgresql_where=text(ACTIVE),
    sqlite_where=text(ACTIVE),
)

Index(
    "schedules_beginning",
    schedules.c.path,
    schedules.c.run_next_at,
    postgresql_where=text(BEGINNING),
    sqlite_where=text(BEGINNING),
)

fires: Final = Table(
    "fires",
    metadata,
    # However many dispatchers look at once: a time that has a row here has fired.
    Column("schedule", Name, primary_key=True),
    Column("fire_at", Instant, primary_key=True),
    Column("job", Name),
    Column("error", Text),
    Column("fired_at", Instant, nullable=False),
    Column("run", Name),
)
Index("fires_age", fires.c.fired_at)

answers: Final = Table(
    "answers",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("route", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", Instant, nullable=False),
    Column("about", Name),  # the job or run that the body tells of
)
Index("answers_age", answers.c.created_at)
Index(
    "answers_about",
    answers.c.about,
    postgresql_where=text("about IS NOT NULL"),
    sqlite_where=text("about IS NOT NULL"),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    # The key itself is nowhere. It is found by this: who guesses keys does not choose their digests,
    # so how long the index takes tells nothing.
    Column("digest", Name, nullable=False),
    Column("hint", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    UniqueConstraint("digest"),
)
Index("api_keys_listed", api_keys.c.created_at, api_keys.c.id)
Index("api_keys_of", api_keys.c.tenant, api_keys.c.created_at, api_keys.c.id)

# Which jobs and schedules name a blob: it may go when none does.
blob_uses: Final = Table(
    "blob_uses",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("blob", Name, primary_key=True),
    Column("used_by", Name, primary_key=True),
    Column("made", Integer),  # 1: it is the user's own output; empty: it was given, or nobody knows
)
Index("blob_uses_by", blob_uses.c.used_by)
