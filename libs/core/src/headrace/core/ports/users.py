"""Users, who are tenants with kudos; their shared keys; and the ledger that says what everybody has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from headrace.contracts.ids import JobId, KeyId, TenantId, UserId, WorkerId

ANONYMOUS: Final = UserId(0)  # there from the beginning
ANONYMOUS_TENANT: Final = TenantId(
    "local"
)  # whose are the jobs of who shows no key, where that goes
BANK: Final = UserId(-1)  # where kudos come from and go to; no user, and without a floor


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Amounts are milli-kudos; `available` is never below `floor`."""

    id: UserId
    tenant: TenantId  # whose jobs its jobs are
    alias: str
    concurrency: int  # jobs that have not ended
    trusted: bool = False
    moderator: bool = False
    floor: int | None = 0  # None: its debts have no limit
    balance: int = 0
    held: int = 0  # of the balance, for jobs that have not ended
    created_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.alias}#{self.id}"

    @property
    def available(self) -> int:
        return self.balance - self.held

    @property
    def spendable(self) -> int | None:
        """None: whatever it costs."""
        return None if self.floor is None else self.available - self.floor

    def can_pay(self, amount: int) -> bool:
        return self.spendable is None or amount <= self.spendable


class Reason(StrEnum):
    CHARGE = "charge"  # a job that was done, from who asked for it
    REWARD = "reward"  # for doing it, to who owns the worker
    TRANSFER = "transfer"
    GRANT = "grant"  # by an operator; also what a user begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """So much from one account to another: two postings whose sum is zero."""

    id: str  # once in all time
    reason: Reason
    source: UserId
    target: UserId
    amount: int  # positive
    job: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One side of an entry, as an account sees it."""

    entry: str
    reason: Reason
    account: UserId
    counter: UserId
    amount: int  # negative: it left
    job: JobId | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKey:
    """A key that a user gave away: good for this door, for so much and so long."""

    id: KeyId
    owner: UserId
    name: str
    kudos: int | None = None  # milli; None: as much as the user has
    used: int = 0  # held or charged
    expires_at: datetime | None = None
    max_image_pixels: int | None = None
    max_image_steps: int | None = None
    max_text_tokens: int | None = None

    @property
    def left(self) -> int | None:
        return None if self.kudos is None else self.kudos - self.used

    def can_pay(self, amount: int) -> bool:
        return self.left is None or amount <= self.left


class Users(Protocol):
    """The part of a transaction that keeps users and the ledger.

    An account is locked, by whoever will change it, until the transaction ends, and several in the
    order of their numbers: who pays is decided upon what stands there, and nobody waits in a ring.
    """

    async def insert_user(self, user: User) -> User | None:
        """With the next number, whatever `user.id` is, and nothing to its name. None: the tenant is one."""

    async def user(self, user: UserId) -> User | None: ...

    async def user_of(self, tenant: TenantId) -> User | None: ...

    async def users(self, *, after: UserId, limit: int) -> list[User]:
        """By number, behind `after`."""

    async def save_user(self, user: User) -> None:
        """All but what it has; its account is locked."""

    async def accounts(
        self, numbers: Sequence[UserId] = (), *, tenants: Sequence[TenantId] = ()
    ) -> list[User]:
        """Of all of these, locked, by number. Who does not exist, and the bank, is missing."""

    async def known_users(
        self, numbers: Collection[UserId] = (), *, tenants: Collection[TenantId] = ()
    ) -> list[User]:
        """As `accounts`, and nothing is locked."""

    async def post(self, entries: Sequence[Entry], *, held: Mapping[UserId, int]) -> None:
        """Book these, and change what is held by so much, at once; all accounts are locked.

        Raises WrongEntry: the transaction must roll back.
        """

    async def postings(self, user: UserId, *, limit: int) -> list[Posting]:
        """The latest first."""

    async def open_paid(self, tenant: TenantId, *, at_most: int) -> int:
        """Jobs of it that have a price and have not ended; counts to `at_most`."""

    async def owners(self, workers: Sequence[WorkerId]) -> dict[WorkerId, TenantId]:
        """Whose remote workers these are; those of the installation are nobody's."""

    async def insert_shared_key(self, key: SharedKey) -> None:
        """Its secret is that of the API key with the same id, which has no scopes."""

    async def shared_key(self, key: KeyId) -> SharedKey | None:
        """Locked: behind its owner's account, if that is too."""

    async def shared_keys(self, owner: UserId, *, limit: int) -> list[SharedKey]:
        """Those that are not revoked."""

    async def save_shared_key(self, key: SharedKey) -> None:
        """Its terms, not what is used."""

    async def use_shared_keys(self, used: Mapping[KeyId, int]) -> None:
        """So much more of each; negative: it was given back. Ids that are no shared keys are none."""

    async def audit_ledger(self) -> Discrepancies: ...


@dataclass(frozen=True, slots=True)
class Discrepancies:
    """What is wrong with the books; it reads them all. Of books in order every number is zero."""

    total: int  # of all postings
    lame_entries: int  # whose postings are not two that make zero
    wrong_balances: int  # users whose balance is not the sum of their postings
    wrong_holds: int  # users whose held is not the price of their jobs that have not ended
    below_floor: int

    @property
    def none(self) -> bool:
        return not any(
            (self.total, self.lame_entries, self.wrong_balances, self.wrong_holds, self.below_floor)
        )
