"""API keys that are kept here, as digests: who may do what as which tenant; and the tenants that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from headrace.contracts.ids import KeyId, TenantId


class Scope(StrEnum):
    """What a key is good for. See `includes`: some are good for what others are, too."""

    SUBMIT = "submit"  # make, change and end what is the tenant's own
    READ = "read"  # look at it
    MODELS = "models"  # register, route and retire models of the tenant's
    WORKER = "worker"  # take jobs over HTTP and bring results
    ADMIN = "admin"  # what operators do, to every tenant
    ADMIN_READ = "admin:read"  # what operators see

    def includes(self, other: Scope) -> bool:
        """Who may make something may look at what came of it."""
        return other is self or (self, other) in _WIDER


_WIDER = frozenset(
    {
        (Scope.SUBMIT, Scope.READ),
        (Scope.MODELS, Scope.READ),
        (Scope.ADMIN, Scope.ADMIN_READ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """All there is of a key but the key. Times are the store's clock."""

    id: KeyId
    tenant: TenantId
    name: str  # for people, and for the audit; "" where nobody gave it one
    scopes: frozenset[Scope]
    hint: str  # how it begins, to tell it from others
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None  # to the minute

    def allows(self, scope: Scope) -> bool:
        return any(each.includes(scope) for each in self.scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A tenant: what it gets and may take, what it has, and with how many keys it can ask."""

    tenant: TenantId
    weight: int = 1
    max_running: int | None = None
    max_running_per_lane: int | None = None
    max_queued: int | None = None
    waiting: int  # scheduled or queued
    running: int
    keys: int  # of those kept here, neither revoked nor expired


class Keys(Protocol):
    """The part of a transaction that keeps keys."""

    async def insert_key(self, key: ApiKey, digest: str) -> ApiKey: ...

    async def live_keys(self, digests: Sequence[str]) -> dict[str, ApiKey]:
        """By digest; what is unknown, revoked or expired is missing."""

    async def key(self, key: KeyId) -> ApiKey | None: ...

    async def keys(
        self, tenant: TenantId | None, *, before: tuple[datetime, KeyId] | None, limit: int
    ) -> list[ApiKey]:
        """Of one tenant or of all, newest first, also those that are good for nothing any more."""

    async def revoke_key(self, key: KeyId) -> ApiKey | None:
        """For ever; asking twice changes nothing. None: there is none."""

    async def use_keys(self, keys_used: Sequence[KeyId], *, unless_since: datetime) -> None:
        """They were used just now; not written for those that were used since then."""

    async def secret(self, name: str) -> str:
        """One for all processes on this store, made at random when it is first asked for."""

    async def standings(
        self, *, besides: Sequence[TenantId], after: str, limit: int, at_most: int
    ) -> list[Standing]:
        """Who has terms, keys or jobs that have not ended, and those `besides`; by name, behind `after`.

        Jobs are counted to `at_most`.
        """
