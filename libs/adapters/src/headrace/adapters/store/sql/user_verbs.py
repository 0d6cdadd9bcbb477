"""The part of the port's transaction that keeps users; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from headrace.adapters.store.sql import ledger, shared_keys, users
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import KeyId, TenantId, UserId, WorkerId
from headrace.core.ports.users import Discrepancies, Entry, Posting, SharedKey, User


class UserVerbs:
    _session: Session

    async def insert_user(self, user: User) -> User | None:
        return await users.insert_user(self._session, user)

    async def user(self, user: UserId) -> User | None:
        return await users.find(self._session, user)

    async def user_of(self, tenant: TenantId) -> User | None:
        return await users.find_of(self._session, tenant)

    async def users(self, *, after: UserId, limit: int) -> list[User]:
        return await users.page(self._session, after, limit)

    async def save_user(self, user: User) -> None:
        await users.save(self._session, user)

    async def accounts(
        self, numbers: Sequence[UserId] = (), *, tenants: Sequence[TenantId] = ()
    ) -> list[User]:
        return await users.accounts(self._session, numbers, tenants)

    async def known_users(
        self, numbers: Collection[UserId] = (), *, tenants: Collection[TenantId] = ()
    ) -> list[User]:
        return await users.known(self._session, numbers, tenants)

    async def post(self, entries: Sequence[Entry], *, held: Mapping[UserId, int]) -> None:
        await ledger.post(self._session, entries, held)

    async def postings(self, user: UserId, *, limit: int) -> list[Posting]:
        return await ledger.latest(self._session, user, limit)

    async def open_paid(self, tenant: TenantId, *, at_most: int) -> int:
        return await users.open_paid(self._session, tenant, at_most)

    async def owners(self, workers: Sequence[WorkerId]) -> dict[WorkerId, TenantId]:
        return await users.owners(self._session, workers)

    async def insert_shared_key(self, key: SharedKey) -> None:
        await shared_keys.insert_shared_key(self._session, key)

    async def shared_key(self, key: KeyId) -> SharedKey | None:
        return await shared_keys.find(self._session, key)

    async def shared_keys(self, owner: UserId, *, limit: int) -> list[SharedKey]:
        return await shared_keys.of(self._session, owner, limit)

    async def save_shared_key(self, key: SharedKey) -> None:
        await shared_keys.save(self._session, key)

    async def use_shared_keys(self, used: Mapping[KeyId, int]) -> None:
        await shared_keys.use(self._session, used)

    async def audit_ledger(self) -> Discrepancies:
        return await ledger.audit(self._session)
