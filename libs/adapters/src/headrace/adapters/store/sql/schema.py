"""The tables and their indexes. The migrations lead here; a test holds the two together.

Every list that a dispatcher asks for has a partial index that holds only its rows, so that no
question costs more as the backlog or the history grows.

There are no foreign keys: rows of one job are written in one transaction by this package alone,
and a key would lock and look up the job's row once more for each of them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Column,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from headrace.adapters.store.sql.types import Instant, Json, Name, Number

REVISION: Final = "0023"  # the newest migration; this build works on it, and on the next one

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s",
    }
)

# Rows of these come and go all day: what is left of them is to be cleared away soon.
_VACUUM_OFTEN: Final = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_threshold": 1000,
}

# Written out, not bound: the planner uses a partial index only where it sees its very condition.
SCHEDULED: Final = "state = 'scheduled'"
HELD: Final = "state IN ('running', 'cancelling')"
NOT_STARTED: Final = "state IN ('scheduled', 'queued')"
STARTS_IN_TIME: Final = f"start_deadline IS NOT NULL AND {NOT_STARTED}"
CANCEL_WISHED: Final = "cancel_asked_at IS NOT NULL AND state IN ('scheduled', 'queued', 'running')"
WATCHED: Final = (
    "watched_until IS NOT NULL AND cancel_asked_at IS NULL"
    " AND state IN ('scheduled', 'queued', 'running')"
)
UNSENT: Final = "sent_at IS NULL"
SENT: Final = "sent_at IS NOT NULL"
OFFERED: Final = "(sent_at IS NOT NULL OR reserved_until IS NOT NULL)"
WANTING: Final = "wants IS NOT NULL"
ENDED: Final = "finished_at IS NOT NULL"
SERVED: Final = "version IS NOT NULL"
RETAINING: Final = "retain_days IS NOT NULL"
IS_SHADOW: Final = "shadow_of IS NOT NULL"
COUNTS: Final = f"{ENDED} AND shadow_of IS NULL"  # of how a path does
SAID: Final = "conversation IS NOT NULL"
QUEUED: Final = "state = 'queued'"
PAID: Final = "price IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'cancelling')"
GANGS: Final = "nodes IS NOT NULL"
GONE_WRONG: Final = "state IN ('failed', 'dead')"

jobs: Final = Table(
    "jobs",
    metadata,
    # In order of creation: what "oldest" means, also after a job went back into its queue.
    Column("number", Number, Identity(), primary_key=True),
    Column("id", Name, nullable=False),
    Column("tenant", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("model", Name, nullable=False),
    Column("input", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("timeout_s", Double, nullable=False),
    Column("start_deadline", Instant),
    Column("labels", Json, nullable=False),
    Column("lane", Name, nullable=False),
    Column("path", Name, nullable=False),
    Column("state", Name, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("worker", Name),
    Column("claim", Name),
    Column("lease_until", Instant),
    Column("not_before", Instant),
    Column("cancel_asked_at", Instant),
    Column("progress", Double),
    Column("output", Json),
    Column("error", Json),
    Column("trace", Text),
    Column("attempt_trace", Text),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("retry_of", Name),
    Column("cancel_after_s", Double),
    Column("watched_until", Instant),  # set when somebody first watches; what is not null may lapse
    Column("cancel_reason", Name),
    Column("conversation", Name),  # the tenant's own name for it
    Column("api_key", Name),  # the id of the one that was shown for it
    Column("shadow_of", Name),  # the id of the job that this one repeats on the other path
    Column("shadow_tenant", Name),
    Column("price", Number),  # milli-kudos; its tenant's user holds as much until it ends
    Column("wants", Name),  # of a remote worker; empty: not for those
    Column("payload", Json),  # what a remote worker is told in place of the input
    Column("webhook", Json),  # who is to be told of this job
    Column("checkpoint", Json),  # what its attempts have left behind, the latest
    Column("register_as", Name),  # the model that what it makes is a version of
    Column("artefact", Json),  # of the registered model's version that it was given
    Column("version", Name),  # that version, by its id among all tenants'
    Column("nodes", Integer),  # workers that run it together; empty: one
    Column("gpus", Integer),  # that it wants of each of several
    UniqueConstraint("id"),
    sqlite_autoincrement=True,
)


def _partial(name: str, *columns: Column[Any], where: str) -> Index:
    condition = text(where)
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


Index("jobs_listed", jobs.c.tenant, jobs.c.created_at, jobs.c.id)
_partial("jobs_scheduled", jobs.c.path, jobs.c.not_before, where=SCHEDULED)
_partial("jobs_held", jobs.c.path, jobs.c.lease_until, where=HELD)
_partial("jobs_held_of", jobs.c.tenant, jobs.c.lane, where=HELD)
_partial("jobs_not_started_of", jobs.c.tenant, where=NOT_STARTED)
_partial("jobs_start_deadlines", jobs.c.path, jobs.c.start_deadline, where=STARTS_IN_TIME)
_partial("jobs_cancel_wishes", jobs.c.path, jobs.c.cancel_asked_at, where=CANCEL_WISHED)
_partial("jobs_watched", jobs.c.path, jobs.c.watched_until, where=WATCHED)
_partial("jobs_ended", jobs.c.finished_at, where=ENDED)
_partial("jobs_ended_of", jobs.c.tenant, jobs.c.finished_at, where=ENDED)
Index("jobs_made", jobs.c.created_at, jobs.c.id)  # of all tenants, for operators
_partial("jobs_gone_wrong", jobs.c.created_at, jobs.c.id, where=GONE_WRONG)
_partial("jobs_oldest", jobs.c.lane, jobs.c.not_before, jobs.c.created_at, where=QUEUED)
_partial("jobs_said", jobs.c.tenant, jobs.c.conversation, jobs.c.created_at, jobs.c.id, where=SAID)

_partial("jobs_paid", jobs.c.tenant, where=PAID)
_partial("jobs_ended_on", jobs.c.path, jobs.c.finished_at, where=COUNTS)
_partial("jobs_of_version", jobs.c.version, jobs.c.finished_at, where=SERVED)
_partial("jobs_shadows", jobs.c.shadow_of, where=IS_SHADOW)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),  # the job's
    Column("job", Name, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("tenant", Name, nullable=False),
    Column("lane", Name, nullable=False),
    Column("path", Name, nullable=False),
    # The order within a tenant: when it came, in milliseconds, less what its priority is worth.
    Column("since", Number, nullable=False),
    Column("trace", Text),
    Column("reserved_until", Instant),
    Column("sent_at", Instant),
    Column("wants", Name),  # the job's
    Column("nodes", Integer),  # the job's; it is reserved while its workers gather, and never sent
    UniqueConstraint("job"),
    postgresql_with=_VACUUM_OFTEN,
)
_partial(
    "outbox_unsent",
    outbox.c.path,
    outbox.c.lane,
    outbox.c.tenant,
    outbox.c.since,
    outbox.c.number,
    where=UNSENT,
)
_partial("outbox_offered", outbox.c.path, outbox.c.lane, where=OFFERED)
_partial("outbox_offered_of", outbox.c.tenant, outbox.c.lane, where=OFFERED)
_partial("outbox_wants", outbox.c.path, outbox.c.wants, where=WANTING)
_partial(
    "outbox_wants_of",
    outbox.c.path,
    outbox.c.tenant,
    outbox.c.wants,
    outbox.c.since,
    outbox.c.number,
    where=WANTING,
)
_partial("outbox_gangs", outbox.c.path, outbox.c.since, outbox.c.number, where=GANGS)
_partial("outbox_sent", outbox.c.path, outbox.c.lane, outbox.c.sent_at, where=SENT)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("job", Name, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("worker", Name, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", Name),
    Column("error", Json),
    Column("stages", Json),
    Column("resumed_step", Integer),  # of the checkpoint that it was given
    Column("members", Json),  # of a gang, the workers by rank
)

gang_members: Final = Table(
    "gang_members",
    metadata,
    # Of jobs that are queued, whoever waits for the others; of those that are held, who runs them.
    Column("job", Name, primary_key=True),
    Column("worker", Name, primary_key=True),
    Column("epoch", Integer, nullable=False),  # of the job, when it joined or was appointed
    Column("claim", Name, nullable=False),
    Column("reply_to", Name, nullable=False),
    Column("at", Name, nullable=False),
    Column("rank", Integer),  # empty: it waits
    Column("joined_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
)
Index("gang_members_of_worker", gang_members.c.worker)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("job", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("idempotency_keys_age", idempotency_keys.c.created_at)
Index("idempotency_keys_job", idempotency_keys.c.job)

tenants: Final = Table(
    "tenants",
    metadata,
    Column("name", Name, primary_key=True),
    Column("weight", Integer, nullable=False),
    Column("max_running", Integer),
    Column("max_running_per_lane", Integer),
    Column("max_queued", Integer),
    Column("retain_days", Integer),  # what has ended goes then, if not before
)
_partial("tenants_retaining", tenants.c.name, where=RETAINING)

lanes: Final = Table(
    "lanes",
    metadata,
    Column("name", Name, primary_key=True),
    Column("paused_at", Instant),
    Column("trouble", Text),  # what keeps its queue from being used, for people
)

workers: Final = Table(
    "workers",
    metadata,
    Column("id", Name, primary_key=True),
    Column("slots", Json, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("path", Name),
    Column("drain_asked_at", Instant),  # it is to take no new offers until it leaves
    Column("vitals", Json),  # as it last said; for people, and for where a model is warm
    postgresql_with=_VACUUM_OFTEN,
)

paths: Final = Table(
    "paths",
    metadata,
    Column("name", Name, primary_key=True),
    Column("attended_until", Instant, nullable=False),
)

catalog: Final = Table(
    "catalog",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("model", Name, primary_key=True),
    Column("lane", Name, nullable=False),
    Column("rank", Integer, nullable=False),  # the engine's own order: its first is its default
    Column("title", Text, nullable=False),
    Column("input_schema", Json, nullable=False),
    Column("seen_at", Instant),  # when a worker last said so; empty: to an older build
    Column("nodes", Integer),  # workers that one job may have at most; empty: one
)
