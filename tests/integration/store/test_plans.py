"""With 100,000 queued jobs of 1,000 tenants, no verb of PostgreSQL's reads a table from end to end."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import event

from headrace.adapters.store.sql import SqlStore, batch_items, migrate, open_sql_store
from headrace.contracts.ids import BatchId, JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Stages
from headrace.core.batch import ItemEnd, ItemState
from headrace.core.job import Event, State, advance
from headrace.core.ports.keys import ApiKey
from headrace.core.ports.queries import Search
from headrace.core.ports.store import (
    AttemptEnd,
    Change,
    Query,
    Renewal,
    Terms,
    Transaction,
    Waiting,
)
from headrace.core.ports.upkeep import Question
from headrace.core.ports.webhooks import CallQuery
from headrace.testkit.builders import LONG_AGO, a_new_job, a_new_version
from headrace.testkit.infra import fresh_database

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

FILL = """
INSERT INTO jobs (id, tenant, kind, model, input, priority, timeout_s, labels, lane, path, state,
                  epoch, attempt, failures, losses, created_at, not_before, start_deadline)
SELECT 'job-' || n, 'tenant-' || n % 1000, 'echo', 'echo', '{"text": "hello"}', n % 3, 60, '{}',
       'echo', 'local', CASE WHEN n % 50 = 0 THEN 'succeeded' ELSE 'queued' END,
       0, 0, 0, 0, now() - n * interval '1 second', NULL, NULL
FROM generate_series(1, 100000) AS n;
INSERT INTO outbox (number, job, epoch, tenant, lane, path, since)
SELECT number, id, epoch, tenant, lane, path, number - priority * 60000 FROM jobs WHERE state = 'queued';
INSERT INTO attempts (job, attempt, epoch, worker, started_at)
SELECT id, 1, 1, 'w', now() FROM jobs;
INSERT INTO idempotency_keys (tenant, key, fingerprint, job, created_at)
SELECT tenant, 'key-' || number, 'f', id, created_at FROM jobs;
INSERT INTO api_keys (id, tenant, name, scopes, digest, hint, created_at)
SELECT 'key-' || n, 'tenant-' || n % 1000, 'ci', '["read"]', 'digest-' || n, 'abcd', now()
FROM generate_series(1, 100000) AS n;
INSERT INTO webhook_endpoints (id, tenant, url, events, note, created_at)
SELECT 'endpoint-' || n, 'tenant-' || n % 20000, 'https://h/', '[]', '', now() FROM generate_series(1, 100000) AS n;
INSERT INTO webhook_calls (id, message, tenant, endpoint, url, queue, job, type, body, state, tries, next_at,
                           created_at, settled_at, log)
SELECT 'call-' || n, 'msg-' || n, 'tenant-' || n % 1000, 'endpoint-' || n % 20000, 'https://h/',
       'h' || n % 1000 || ' tenant-' || n % 1000, 'job-' || n, 'job.succeeded', '{}',
       CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'delivered' END, 1, now(), now() - n * interval '1 second',
       CASE WHEN n % 2 = 0 THEN NULL ELSE now() END, '[]'
FROM generate_series(1, 100000) AS n;
UPDATE jobs SET finished_at = created_at, started_at = created_at, output = '{"score": 1}',
                version = 'tenant/m@' || number % 4 WHERE state = 'succeeded';
INSERT INTO feedback (job, name, value, at) SELECT id, 'rating', 1, now() FROM jobs;
INSERT INTO models (tenant, name, latest, route, created_at)
SELECT 'tenant-' || n, 'm', 20, 1, now() FROM generate_series(1, 5000) AS n;
INSERT INTO model_versions (tenant, name, number, blob, format, sha256, bytes, metrics, parameters, data, note,
                            made_by, created_at)
SELECT 'tenant-' || n, 'm', v, 'b', 'f', 's', 1, '{}', '{}', '', '', 'me', now()
FROM generate_series(1, 5000) AS n, generate_series(1, 20) AS v;
INSERT INTO model_routes (tenant, name, number, weights, how, changed_by, changed_at)
SELECT 'tenant-' || n, 'm', v, '{"1": 1}', 'routed', 'me', now()
FROM generate_series(1, 5000) AS n, generate_series(1, 20) AS v;
INSERT INTO batches (id, tenant, path, kind, source, total, priority, timeout_s, labels, begun, read_to, not_before,
                     created_at, finished_at)
SELECT 'batch-' || n, 'tenant-' || n, 'local', 'echo', 'blob', 100, 0, 60, '{}', n % 101, 0, now() - interval '1 second',
       now() - n * interval '1 second', CASE WHEN n % 101 = 100 THEN now() END
FROM generate_series(1, 1000) AS n;
INSERT INTO batch_tallies (batch, total, last, succeeded, failed, cancelled, dead, rejected)
SELECT 'batch-' || n, 100, 50, 50, 0, 0, 0, 0 FROM generate_series(1, 1000) AS n;
INSERT INTO batch_items (batch, place, job, state, number, ended_at)
SELECT 'batch-' || n / 100, n % 100, 'job-' || n, CASE WHEN n % 2 = 0 THEN 'open' ELSE 'succeeded' END,
       CASE WHEN n % 2 = 0 THEN NULL ELSE n % 100 END, CASE WHEN n % 2 = 0 THEN NULL ELSE now() END
FROM generate_series(100, 100000) AS n;
ANALYZE
"""
FROM_END_TO_END = re.compile(
    r"Seq Scan on (jobs|outbox|attempts|idempotency_keys|api_keys|webhook_(?:calls|endpoints)"
    r"|feedback|models|model_(?:versions|routes)|batch_\w+)"
)
ECHO = Lane("echo")


@dataclass
class Asked:
    """The statements a verb sent, as the driver got them."""

    statements: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def note(self, _c: object, _k: object, statement: str, parameters: Any, *_: object) -> None:
        if "NOTIFY" not in statement:
            self.statements[statement] = tuple(parameters)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(postgres_url: str) -> AsyncGenerator[str]:
    async with fresh_database(postgres_url) as url:
        await migrate(url)
        admin = await asyncpg.connect(url)
        try:
            await admin.execute(FILL)
        finally:
            await admin.close()
        yield url


@pytest.fixture
async def store(full: str) -> AsyncGenerator[SqlStore]:
    async with open_sql_store(full, pool_size=1) as store:
        yield store


SOME = [JobId(f"job-{n}") for n in range(1, 101)]
ROWS = [Waiting(job, 0, TenantId("t"), None) for job in SOME]


async def submit(tx: Transaction) -> None:
    await tx.insert([a_new_job(), a_new_job(key="k"), a_new_job(key="k")])


async def claim(tx: Transaction) -> None:
    found = await tx.load(SOME)
    granted = [Change(job, advance(job, Event.GRANTED)[1]) for job in found.values()]
    await tx.save(granted)
    opened = [replace(change.after, worker=WorkerId("w")) for change in granted]
    await tx.open_attempts([job for job in opened if job.state is State.RUNNING])


async def heartbeat(tx: Transaction) -> None:
    renewals = [Renewal(job, 1, None) for job in SOME]
    await tx.renew(renewals, worker=WorkerId("w"), until=LONG_AGO)
    await tx.close_attempts([AttemptEnd(job, 1, "lost", None, Stages()) for job in SOME])


async def sweep(tx: Transaction) -> None:
    await tx.due("local", limit=100)
    await tx.expired_leases("local", limit=100)
    await tx.expired_starts("local", limit=100)
    await tx.cancel_wishes("local", limit=100)
    assert await tx.outside("local", after=JobId(""), limit=100) == []


async def release(tx: Transaction) -> None:
    assert await tx.waiting_lanes("local") == [ECHO]
    assert await tx.offered("local", ECHO) == 0
    shares = await tx.shares("local", ECHO, start=TenantId("tenant-5"), limit=100)
    assert len(shares) == 100
    heads = await tx.waiting("local", ECHO, {share.tenant: 2 for share in shares})
    assert {len(rows) for rows in heads.values()} == {2}
    now = await tx.now()
    await tx.hold_release()
    await tx.reserve(ROWS, until=now + timedelta(minutes=5))
    await tx.mark_sent(ROWS)
    await tx.unreserve(ROWS)
    await tx.sent_before("local", now, limit=100)
    await tx.resend(ROWS)


async def read(tx: Transaction) -> None:
    tenant = TenantId("tenant-7")
    page = await tx.page(tenant, Query(limit=20))
    assert page[0].created_at is not None
    await tx.page(tenant, Query(limit=20, before=(page[0].created_at, page[0].id)))
    await tx.page(tenant, Query(limit=20, conversation="lunch"))
    await tx.find(tenant, page[0].id)
    await tx.attempts(page[0].id)
    await tx.ask_cancel(tenant, page[0].id)
    assert await tx.ahead(page[0]) >= 0
    await tx.crowd(page[0])


async def share(tx: Transaction) -> None:
    capped = Terms(max_running=1, max_running_per_lane=1)
    for n in range(100):
        await tx.set_terms(TenantId(f"tenant-{n}"), capped)
    assert 1 in {each.room for each in await tx.shares("local", ECHO, start=None, limit=20)}
    await tx.terms(TenantId("tenant-7"))
    assert await tx.backlog(TenantId("tenant-7"), at_most=50) == 50
    assert await tx.backlog(None, at_most=500) == 500


async def keep_keys(tx: Transaction) -> None:
    digests = [f"digest-{n}" for n in range(1, 101)]
    assert len(await tx.live_keys([*digests, "nobody's"])) == len(digests)
    page: list[ApiKey] = []
    for whose in (TenantId("tenant-7"), None):
        page = await tx.keys(whose, before=None, limit=20)
        assert page[-1].created_at is not None
        await tx.keys(whose, before=(page[-1].created_at, page[-1].id), limit=20)
    await tx.key(page[0].id)
    await tx.revoke_key(page[0].id)
    await tx.use_keys([each.id for each in page], unless_since=await tx.now())
    found = await tx.standings(besides=[], after="tenant-5", limit=100, at_most=1000)
    assert {(each.waiting, each.keys) for each in found} <= {(100, 100), (0, 100)}


async def look_after(tx: Transaction) -> None:
    now = await tx.now()
    await tx.purge_keys(older_than=now - timedelta(hours=20), limit=100)
    await tx.purge_jobs(finished_before=now - timedelta(hours=20), limit=100)
    await tx.due_schedules("local", limit=100)
    await tx.due_replays("local", limit=100)
    for path in ("local", "distributed"):
        await tx.deserted(path)
        await tx.attend(path, until=now)
    await tx.recall(Question(TenantId("tenant-7"), "POST /x", "k", "f"))


async def operate(tx: Transaction) -> None:
    now = await tx.now()
    searches = [
        Search(),
        Search(tenant=TenantId("tenant-7"), state=State.QUEUED),
        Search(error="out of memory"),
        Search(state=State.RUNNING),
        Search(worker=WorkerId("w"), label=("team", "red"), states=[State.QUEUED]),
        Search(before=(now - timedelta(hours=1), JobId("job-1"))),
        Search(ids=SOME, created_after=now - timedelta(hours=1)),
    ]
    for wanted in searches:
        await tx.search(replace(wanted, limit=1000))
    assert (await tx.search(Search(kind="rare"))).next is not None
    assert await tx.anybodys(SOME[0]) is not None
    await tx.wish_all(SOME)
    await tx.place(SOME[0], "front")
    await tx.place(SOME[0], "back")
    await tx.reprioritise(SOME[0], 7)
    (load,) = (await tx.loads([ECHO])).lanes
    assert load.waiting == 98_000
    await tx.recent(since=now - timedelta(minutes=5), bucket=timedelta(seconds=5))
    await tx.held(limit=100)


async def roll_out(tx: Transaction) -> None:
    since = await tx.now() - timedelta(days=2)
    for path in ("local", "distributed"):
        await tx.ended(path, since=since, created_since=None, limit=2000)
        await tx.ended(path, since=since, created_since=since, limit=2000)
        await tx.unended(path, created_since=since, limit=2000)
    await tx.path_standings(since=since)
    await tx.shadows_over(limit=100)
    await tx.give_up_shadows(waiting_since=since, limit=100)
    await tx.discard_shadows(SOME)


async def call_receivers(tx: Transaction) -> None:
    now = await tx.now()
    queues, place = await tx.due_queues(now, after=None, limit=100)
    assert place is not None
    assert len(queues) == 100
    (call, *_) = await tx.due_calls(queues[0], now, limit=4)
    (reserved,) = await tx.reserve_calls([call], until=now)
    await tx.save_call(reserved, reserved)
    assert call.endpoint is not None
    await tx.known_endpoints([call.endpoint])
    await tx.endpoint(call.tenant, call.endpoint)
    await tx.endpoints(call.tenant, before=None, limit=20)
    await tx.signing(call.tenant, call.signed_as, lambda: "secret")
    await tx.calls(CallQuery(tenant=call.tenant))
    await tx.calls(CallQuery(before=(call.created_at, call.id)))
    await tx.calls(CallQuery(job=call.job))
    await tx.purge_calls(created_before=now - timedelta(hours=20), limit=100)


async def look_at_models(tx: Transaction) -> None:
    tenant, since = TenantId("tenant-7"), await tx.now() - timedelta(days=2)
    for metric in (None, "output.score", "rating"):
        found = await tx.outcomes("tenant/m@2", since=since, metric=metric, limit=5000)
        assert [each.value for each in found[:1]] == [None if metric is None else 1.0]
    await tx.note_feedback(SOME[0], "rating", 2.0, most=16)
    model = await tx.model(tenant, "m")
    assert model is not None
    await tx.lock_model(tenant, "m")
    await tx.models(tenant, after="", limit=50)
    await tx.all_models(after=("tenant-7", ""), limit=50)
    assert await tx.version(tenant, "m", 20) is not None
    await tx.versions(tenant, "m", limit=5)
    await tx.routes(tenant, "m", below=9, limit=5)
    await tx.route(tenant, "m", 1)
    await tx.add_version(a_new_version(tenant=tenant, name="m"))
    await tx.share_model(tenant, "m", shared=True)
    await tx.add_route(tenant, "m", replace(model.route, number=21))
    await tx.retire_version(tenant, "m", 20, who="me")


async def batch_up(tx: Transaction) -> None:
    tenant, batch, now = TenantId("tenant-7"), BatchId("batch-7"), await tx.now()
    taken = await tx.take_batch("local", until=now)
    assert taken is not None
    assert await tx.begin_items(taken, replace(taken, begun=taken.begun + 1), []) is True
    await batch_items.end(tx._session, [ItemEnd(batch, 7, ItemState.SUCCEEDED)])  # type: ignore[attr-defined]  # else it comes with the commit
    assert await tx.look_at_batch(tenant, batch) is not None
    await tx.page_batches(tenant, before=None, limit=20)
    await tx.page_batches(None, before=(now, batch), limit=20)
    assert await tx.open_batches(tenant) == 1
    await tx.pace_of_batch(batch)
    for wrong in (True, False):
        await tx.ended_items(batch, after=3, limit=100, wrong=wrong)
    await tx.ask_cancel_batch(tenant, batch)
    await tx.items_to_stop("local", limit=100)
    await tx.purge_batches(finished_before=now - timedelta(hours=20), limit=100)
    await tx.purge_jobs(finished_before=now - timedelta(hours=20), limit=100)


@pytest.mark.parametrize(
    "verbs",
    [
        submit,
        batch_up,
        call_receivers,
        claim,
        heartbeat,
        sweep,
        release,
        share,
        read,
        look_after,
        operate,
        keep_keys,
        roll_out,
        look_at_models,
    ],
)
async def test_nothing_is_read_from_end_to_end(store: SqlStore, full: str, verbs: Any) -> None:
    asked = Asked()
    event.listen(store.engine.sync_engine, "before_cursor_execute", asked.note)

    class Undone(Exception):
        """So that every case finds the same rows."""

    async def ask() -> None:
        async with store.begin() as tx:
            await verbs(tx)
            raise Undone

    with pytest.raises(Undone):
        await ask()

    plans = await explained(full, asked.statements)
    assert plans
    for plan in plans:
        assert not FROM_END_TO_END.search(plan), plan


async def explained(url: str, statements: dict[str, tuple[Any, ...]]) -> list[str]:
    """Each statement's plan: for these values, and the one a prepared statement settles on."""
    connection = await asyncpg.connect(url)
    plans: list[str] = []
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for place, (statement, values) in enumerate(statements.items()):
            rows = await connection.fetch(f"EXPLAIN {statement}", *values)
            plans.append(_text(statement, rows))
            await connection.execute(f"PREPARE p{place} AS {statement}")
            nulls = f"({', '.join(['NULL'] * len(values))})" if values else ""
            rows = await connection.fetch(f"EXPLAIN EXECUTE p{place}{nulls}")
            plans.append(_text(statement, rows))
    finally:
        await connection.close()
    return plans


def _text(statement: str, rows: list[Any]) -> str:
    return "\n".join([statement, *(row[0] for row in rows)])
