"""Make, find and change users. Whoever another door lets in is one here from its first request on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.contracts.ids import TenantId, UserId
from headrace.core.errors import NotEnoughKudos, UserNotFound
from headrace.core.kudos import in_kudos
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Transaction
from headrace.core.ports.users import BANK, Entry, Reason, User, Users

_TAIL: Final = 12  # characters of a tenant's name that nobody else's has


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What a new user gets; amounts are milli-kudos."""

    concurrency: int = 30
    floor: int | None = None
    kudos: int = 0


async def user_for(tx: Users, tenant: TenantId, welcome: Welcome) -> User:
    """The tenant's user, made now if it is new here. Of two that make it at once, one does."""
    found = await tx.user_of(tenant)
    return found or await _enrol(tx, tenant, tenant, welcome)


async def create_user(
    tx: Transaction,
    alias: str,
    welcome: Welcome,
    *,
    tenant: TenantId | None = None,
    new_id: Callable[[], str],
    who: str,
) -> User:
    """Of a tenant that there is, or of a new one; a tenant that is a user stays the one it is."""
    name = tenant or TenantId(f"user-{new_id().replace('-', '')[:_TAIL]}")
    made = await _enrol(tx, name, alias, welcome)
    detail = {"tenant": made.tenant, "kudos": in_kudos(made.balance)}
    await tx.audit([Deed(who, "user.create", made.name, detail)])
    return made


async def _enrol(tx: Users, tenant: TenantId, alias: str, welcome: Welcome) -> User:
    new = User(
        id=BANK,  # the store has the next number
        tenant=tenant,
        alias=alias,
        concurrency=welcome.concurrency,
        floor=welcome.floor,
    )
    made = await tx.insert_user(new)
    if made is None:
        (made,) = await tx.accounts(tenants=[tenant])
        return made
    if welcome.kudos:
        gift = Entry(
            id=f"welcome:{made.id}",
            reason=Reason.GRANT,
            source=BANK,
            target=made.id,
            amount=welcome.kudos,
        )
        await tx.post([gift], held={})
    return replace(made, balance=welcome.kudos)


async def user_named(tx: Users, name: str) -> User:
    """Of `alias#7` or `7`. Raises UserNotFound: nobody has the number, or its user another alias."""
    alias, hash_, number = name.rpartition("#")
    found = await tx.user(UserId(int(number))) if _is_number(number) else None
    if found is None or (hash_ and found.alias.casefold() != alias.casefold()):
        raise UserNotFound(name[:80])
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004  # what 64 bits hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """None: as it is. An alias is for people, a number stays."""

    alias: str | None = None
    concurrency: int | None = None
    trusted: bool | None = None
    moderator: bool | None = None
    floor: int | None = None  # milli-kudos
    no_floor: bool = False

    def said(self) -> dict[str, Any]:
        names = ("alias", "concurrency", "trusted", "moderator", "floor")
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return found | ({"floor": None} if self.no_floor else {})


async def change_user(tx: Transaction, user: UserId, changes: Changes, *, who: str) -> User:
    """Raises UserNotFound; NotEnoughKudos: it has less than that floor already."""
    found = await tx.accounts([user])
    if not found:
        raise UserNotFound(str(user))
    before, said = found[0], changes.said()
    after = replace(before, **said)
    if after.floor is not None and after.available < after.floor:
        raise NotEnoughKudos(after.floor, after.available)
    if said:
        await tx.save_user(after)
        await tx.audit([Deed(who, "user.change", before.name, said)])
    return after
