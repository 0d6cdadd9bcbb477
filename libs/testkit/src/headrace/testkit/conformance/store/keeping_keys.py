"""API keys: found by their digest while they are good, listed, revoked for ever; and who has any."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from headrace.contracts.ids import KeyId, TenantId
from headrace.core.job import Event, State
from headrace.core.ports.keys import ApiKey, Scope, Standing
from headrace.core.ports.store import Store, Terms
from headrace.testkit.builders import LONG_AGO, a_job_id, an_api_key
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put, read

MANY: Final = 100


class KeepingKeys(StoreRoom):
    async def test_a_key_comes_back_as_it_was_and_by_its_digest_alone(
        self, store: Store, tenant: TenantId
    ) -> None:
        async with store.begin() as tx:
            expires_at = await tx.now() + SOON
        every = frozenset(Scope)
        kept, digest = await keep(store, tenant=tenant, scopes=every, expires_at=expires_at)

        async with store.begin() as tx:
            found = await tx.live_keys([digest, "another digest"])
            by_id = await tx.key(kept.id)
            nobodys = await tx.key(KeyId("another"))

        assert (found, by_id, nobodys) == ({digest: kept}, kept, None)
        assert kept.created_at is not None

    async def test_what_has_expired_is_found_no_more_and_listed_all_the_same(
        self, store: Store, tenant: TenantId
    ) -> None:
        expired, digest = await keep(store, tenant=tenant, expires_at=LONG_AGO)

        async with store.begin() as tx:
            assert await tx.live_keys([digest]) == {}
            assert await tx.keys(tenant, before=None, limit=9) == [expired]

    async def test_what_is_revoked_is_found_no_more_and_was_revoked_the_first_time(
        self, store: Store
    ) -> None:
        kept, digest = await keep(store)

        async with store.begin() as tx:
            first = await tx.revoke_key(kept.id)
        async with store.begin() as tx:
            again = await tx.revoke_key(kept.id)
            found = await tx.live_keys([digest])
            nobodys = await tx.revoke_key(KeyId("another"))

        assert first is not None
        assert first.revoked_at is not None
        assert (again, found, nobodys) == (first, {}, None)

    async def test_keys_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        made = [(await keep(store, tenant=tenant))[0] for _ in range(3)]
        other, _ = await keep(store, tenant=TenantId(f"{tenant}-other"))

        async with store.begin() as tx:
            first = await tx.keys(tenant, before=None, limit=2)
            assert first[-1].created_at is not None
            before = (first[-1].created_at, first[-1].id)
            rest = await tx.keys(tenant, before=before, limit=2)
            of_all = await tx.keys(None, before=None, limit=1000)

        newest_first = sorted(made, key=lambda each: (each.created_at, each.id), reverse=True)
        assert [*first, *rest] == newest_first
        assert {each.id for each in [*made, other]} <= {each.id for each in of_all}

    async def test_keys_that_are_good_for_nothing_are_forgotten_in_time(
        self, store: Store, tenant: TenantId
    ) -> None:
        expired, _ = await keep(store, tenant=tenant, expires_at=LONG_AGO)
        live, _ = await keep(store, tenant=tenant)
        revoked, _ = await keep(store, tenant=tenant)
        async with store.begin() as tx:
            await tx.revoke_key(revoked.id)

        async def left_after(since: datetime) -> set[KeyId]:
            async with store.begin() as tx:
                await tx.purge_api_keys(useless_since=since, limit=MANY)
                return {each.id for each in await tx.keys(tenant, before=None, limit=MANY)}

        async with store.begin() as tx:
            now = await tx.now()
        assert await left_after(LONG_AGO) == {expired.id, live.id, revoked.id}
        assert await left_after(now - SOON) == {live.id, revoked.id}
        assert await left_after(now + SOON) == {live.id}

    async def test_a_use_is_written_unless_one_was_written_lately(self, store: Store) -> None:
        kept, _ = await keep(store)
        async with store.begin() as tx:
            first_at = await tx.now()
            await tx.use_keys([kept.id, KeyId("another")], unless_since=first_at)
        async with store.begin() as tx:
            once = await tx.key(kept.id)
            await tx.use_keys([kept.id], unless_since=first_at - SOON)  # that was lately
        async with store.begin() as tx:
            still = await tx.key(kept.id)
            await tx.use_keys([kept.id], unless_since=await tx.now() + SOON)
        async with store.begin() as tx:
            later = await tx.key(kept.id)

        assert once is not None
        assert later is not None
        assert once == still
        assert once.last_used_at is not None
        assert later.last_used_at is not None
        assert once.last_used_at < later.last_used_at

    async def test_a_job_knows_the_key_it_was_submitted_with(self, store: Store, new: Any) -> None:
        key = KeyId(a_job_id())
        with_key, without = await put(store, new(api_key=key), new())

        assert (await read(store, with_key)).api_key == key
        assert (await read(store, without)).api_key is None

    async def test_a_tenant_stands_with_what_waits_and_runs_and_its_keys(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        _, _, running, over = await put(store, new(), new(state=State.SCHEDULED), new(), new())
        await grant(store, running)
        await move(store, await grant(store, over), Event.FINISHED)
        await keep(store, tenant=tenant)
        await keep(store, tenant=tenant, expires_at=LONG_AGO)
        revoked, _ = await keep(store, tenant=tenant)
        async with store.begin() as tx:
            await tx.revoke_key(revoked.id)
        usual = Standing(tenant=tenant, waiting=2, running=1, keys=1)

        assert await standing_of(store, tenant) == usual
        async with store.begin() as tx:
            await tx.set_terms(tenant, Terms(weight=3, max_queued=9))
        assert await standing_of(store, tenant) == replace(usual, weight=3, max_queued=9)

    async def test_jobs_of_a_tenant_are_counted_to_a_bound(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        await put(store, *(new() for _ in range(3)))

        found = await standing_of(store, tenant, at_most=2)

        assert found is not None
        assert found.waiting == 2

    async def test_tenants_are_listed_by_name_whatever_they_are_known_by(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        agreed, keyed, waits, runs, named, over = (TenantId(f"{tenant}-{n}") for n in "abcdef")
        async with store.begin() as tx:
            await tx.set_terms(agreed, Terms(weight=2))
        await keep(store, tenant=keyed)
        _, running, ended = await put(store, *(new(tenant=each) for each in (waits, runs, over)))
        await grant(store, running)
        await move(store, await grant(store, ended), Event.FINISHED)

        async with store.begin() as tx:
            first = await tx.standings(besides=[named], after=tenant, limit=3, at_most=MANY)
            rest = await tx.standings(
                besides=[named], after=first[-1].tenant, limit=3, at_most=MANY
            )

        assert [each.tenant for each in first] == [agreed, keyed, waits]
        assert [each.tenant for each in rest][:2] == [runs, named]
        assert over not in [each.tenant for each in rest]


async def keep(store: Store, **fields: Any) -> tuple[ApiKey, str]:
    digest = secrets.token_hex(32)
    async with store.begin() as tx:
        return await tx.insert_key(an_api_key(**fields), digest), digest


async def standing_of(store: Store, tenant: TenantId, *, at_most: int = MANY) -> Standing | None:
    just_before = tenant[:-1]
    async with store.begin() as tx:
        found = await tx.standings(besides=[], after=just_before, limit=MANY, at_most=at_most)
    return next((each for each in found if each.tenant == tenant), None)
