"""Users and what they have: made once for a tenant, locked in one order, booked in pairs that make zero."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.ids import KeyId, TenantId, UserId, WorkerId
from headrace.core.errors import WrongEntry
from headrace.core.job import Event, State
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.users import (
    ANONYMOUS,
    ANONYMOUS_TENANT,
    BANK,
    Reason,
    SharedKey,
    User,
)
from headrace.testkit.builders import a_job_id, a_user, an_api_key, an_entry
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put


class KeepingUsers(StoreRoom):
    async def test_a_user_comes_back_as_it_was_with_a_number_of_its_own(
        self, store: Store, tenant: TenantId
    ) -> None:
        asked = a_user(tenant=tenant, concurrency=3, trusted=True, moderator=True, floor=-500)

        made = await keep(store, asked)

        assert made == replace(asked, id=made.id, created_at=made.created_at)
        assert made.id > ANONYMOUS
        assert made.created_at is not None
        async with store.begin() as tx:
            assert await tx.user(made.id) == made
            assert await tx.user_of(tenant) == made
            assert await tx.known_users([made.id], tenants=[tenant]) == [made]

    async def test_a_tenant_is_one_user(self, store: Store, tenant: TenantId) -> None:
        await keep(store, a_user(tenant=tenant))

        async with store.begin() as tx:
            assert await tx.insert_user(a_user(tenant=tenant, alias="another")) is None

    async def test_nobody_is_found_by_what_nobody_has(self, store: Store, tenant: TenantId) -> None:
        async with store.begin() as tx:
            assert await tx.user(UserId(10**12)) is None
            assert await tx.user_of(tenant) is None
            assert await tx.accounts([UserId(10**12), BANK], tenants=[tenant]) == []
            assert await tx.accounts() == []
            assert await tx.known_users([UserId(10**12), BANK], tenants=[tenant]) == []
            assert await tx.known_users() == []

    async def test_anonymous_is_there_from_the_beginning(self, store: Store) -> None:
        async with store.begin() as tx:
            found = await tx.user(ANONYMOUS)

        assert found is not None
        assert (found.tenant, found.name) == (ANONYMOUS_TENANT, "Anonymous#0")
        assert found.floor is None

    async def test_users_are_listed_by_number_and_page_by_page(self, store: Store) -> None:
        made = [await keep(store) for _ in range(3)]

        async with store.begin() as tx:
            first = await tx.users(after=UserId(made[0].id - 1), limit=2)
            rest = await tx.users(after=first[-1].id, limit=2)

        assert (first, rest[:1]) == (made[:2], made[2:])

    async def test_what_a_user_is_can_be_changed_and_what_it_has_cannot(self, store: Store) -> None:
        made = await keep(store)
        other = replace(made, alias="other", concurrency=1, trusted=True, floor=None, balance=5)

        async with store.begin() as tx:
            await tx.save_user(other)

        async with store.begin() as tx:
            assert await tx.user(made.id) == replace(other, balance=0)

    async def test_an_entry_moves_an_amount_and_is_seen_from_both_sides(self, store: Store) -> None:
        one, other = await keep(store), await keep(store, a_user(floor=-100))
        job = a_job_id()
        entry = an_entry(source=other.id, target=one.id, amount=70, job=job, reason=Reason.REWARD)

        async with store.begin() as tx:
            await tx.accounts([one.id, other.id])
            await tx.post([entry], held={})

        async with store.begin() as tx:
            assert [user.balance for user in await tx.accounts([other.id, one.id])] == [70, -70]
            (came,), (left,) = (
                await tx.postings(one.id, limit=9),
                await tx.postings(other.id, limit=9),
            )
        assert (came.account, came.counter, came.amount) == (one.id, other.id, 70)
        assert (left.account, left.counter, left.amount) == (other.id, one.id, -70)
        assert {came.entry, left.entry} == {entry.id}
        assert (came.job, came.reason, came.at) == (job, Reason.REWARD, left.at)

    async def test_what_comes_from_the_bank_is_booked_there_too(self, store: Store) -> None:
        one = await keep(store, funded=40)

        async with store.begin() as tx:
            (came,) = await tx.postings(one.id, limit=9)

        assert (came.counter, came.amount) == (BANK, 40)

    async def test_the_latest_postings_come_first(self, store: Store) -> None:
        one = await keep(store)
        for amount in (1, 2, 3):
            async with store.begin() as tx:
                await tx.accounts([one.id])
                await tx.post([an_entry(target=one.id, amount=amount)], held={})

        async with store.begin() as tx:
            assert [each.amount for each in await tx.postings(one.id, limit=2)] == [3, 2]

    async def test_an_entry_is_booked_once_and_else_nothing_of_it_holds(self, store: Store) -> None:
        one = await keep(store)
        entry = an_entry(target=one.id, amount=5)
        async with store.begin() as tx:
            await tx.post([entry], held={})

        with pytest.raises(WrongEntry):
            async with store.begin() as tx:
                await tx.post([entry, an_entry(target=one.id, amount=7)], held={one.id: 1})

        async with store.begin() as tx:
            (found,) = await tx.accounts([one.id])
        assert (found.balance, found.held) == (5, 0)

    @pytest.mark.parametrize("spent", ["balance", "held"])
    async def test_a_wrong_decision_fails_at_the_floor(self, store: Store, spent: str) -> None:
        one = await keep(store, a_user(floor=-10), funded=5)
        entry = an_entry(source=one.id, target=BANK, amount=16)

        with pytest.raises(WrongEntry):
            async with store.begin() as tx:
                await tx.post([entry] if spent == "balance" else [], held={one.id: 16})

        async with store.begin() as tx:
            assert await tx.user(one.id) == replace(one, balance=5)

    async def test_without_a_floor_debts_have_no_limit(self, store: Store) -> None:
        one = await keep(store, a_user(floor=None))

        async with store.begin() as tx:
            await tx.post([an_entry(source=one.id, target=BANK, amount=10**15)], held={})
            (found,) = await tx.accounts([one.id])

        assert found.balance == -(10**15)

    async def test_the_price_of_a_job_is_kept_and_counted_until_it_ends(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        first, second, free = await put(store, new(price=7), new(price=0), new())

        assert (first.price, second.price, free.price) == (7, 0, None)
        async with store.begin() as tx:
            assert await tx.open_paid(tenant, at_most=9) == 2
            assert await tx.open_paid(tenant, at_most=1) == 1
        ended = await move(store, await grant(store, first), Event.FINISHED, output={})
        async with store.begin() as tx:
            assert await tx.open_paid(tenant, at_most=9) == 1
        assert (ended.state, ended.price) == (State.SUCCEEDED, 7)

    async def test_a_remote_worker_is_its_tenants_and_no_other_is_anybodys(
        self, store: Store, tenant: TenantId
    ) -> None:
        name = f"worker-{secrets.token_hex(6)}"
        worker = RemoteWorker(id=WorkerId(name), name=name, tenant=tenant, kind="image")
        async with store.begin() as tx:
            await tx.enlist([worker])

        async with store.begin() as tx:
            assert await tx.owners([worker.id, WorkerId("of ours")]) == {worker.id: tenant}
            assert await tx.owners([]) == {}

    async def test_the_audit_finds_books_in_order(self, store: Store, new: Any) -> None:
        async with store.begin() as tx:
            before = await tx.audit_ledger()
        one, other = await keep(store, funded=50), await keep(store)

        async with store.begin() as tx:
            await tx.accounts([one.id, other.id])
            await tx.post([an_entry(source=one.id, target=other.id, amount=20)], held={})

        async with store.begin() as tx:
            assert await tx.audit_ledger() == before

    async def test_the_audit_sees_a_hold_that_no_job_explains(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        one = await keep(store, a_user(tenant=tenant), funded=50)
        async with store.begin() as tx:
            before = await tx.audit_ledger()

        async with store.begin() as tx:
            await tx.post([], held={one.id: 5})
            unexplained = await tx.audit_ledger()
        await put(store, new(price=5))

        async with store.begin() as tx:
            explained = await tx.audit_ledger()
        assert unexplained.wrong_holds == before.wrong_holds + 1
        assert explained == before

    async def test_a_shared_key_comes_back_as_it_was_and_changes(self, store: Store) -> None:
        one = await keep(store)
        async with store.begin() as tx:
            expires_at = await tx.now() + SOON
        kept = await share(
            store,
            one,
            kudos=900,
            expires_at=expires_at,
            max_image_pixels=1 << 20,
            max_image_steps=30,
            max_text_tokens=80,
        )
        changed = replace(kept, name="another", kudos=None, max_image_steps=None)

        async with store.begin() as tx:
            assert await tx.shared_key(kept.id) == kept
            await tx.save_shared_key(changed)
            await tx.use_shared_keys({kept.id: 30, KeyId("no shared key"): 1})
            await tx.use_shared_keys({kept.id: -10})

        async with store.begin() as tx:
            assert await tx.shared_key(kept.id) == replace(changed, used=20)
            assert await tx.shared_key(KeyId("no shared key")) is None

    async def test_keys_that_are_shared_are_listed_until_they_are_revoked(
        self, store: Store
    ) -> None:
        one, other = await keep(store), await keep(store)
        kept, revoked, _ = [await share(store, user) for user in (one, one, other)]

        async with store.begin() as tx:
            await tx.revoke_key(revoked.id)

        async with store.begin() as tx:
            assert await tx.shared_keys(one.id, limit=9) == [kept]


async def keep(store: Store, user: User | None = None, *, funded: int = 0) -> User:
    async with store.begin() as tx:
        made = await tx.insert_user(
            user or a_user(tenant=TenantId(f"tenant-{secrets.token_hex(6)}"))
        )
        assert made is not None
        if funded:
            await _fund(tx, made, funded)
    return made


async def _fund(tx: Transaction, user: User, amount: int) -> None:
    await tx.post([an_entry(target=user.id, amount=amount)], held={})


async def share(store: Store, owner: User, **terms: Any) -> SharedKey:
    key = an_api_key(tenant=owner.tenant, scopes=frozenset())
    shared = SharedKey(id=key.id, owner=owner.id, **{"name": "for a friend", **terms})
    async with store.begin() as tx:
        await tx.insert_key(key, secrets.token_hex(32))
        await tx.insert_shared_key(shared)
    return shared
