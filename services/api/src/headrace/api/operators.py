"""Who may operate: whoever shows the admin key, or a key of the store with a scope for that.

The audit names who it was: of a key of the store its name, whatever the request says. The admin key
may be shared by many people, so whoever shows it says by `X-Operator` who they are, and is believed.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Header, Request, Security
from fastapi.security import SecurityScopes

from headrace.api.auth import Caller, presented, scope_missing
from headrace.api.deps import ApiDeps, Deps
from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import TenantId
from headrace.core.errors import Unavailable
from headrace.core.ports.keys import Scope

_NO_ADMIN: Final = Problem(
    404,
    "no-admin",
    "There is nothing here",
    "Nobody administers this installation over HTTP: it has no ADMIN_KEY.",
)
_NOT_AN_OPERATOR: Final = Problem(
    403,
    "forbidden",
    "This needs an operator's key",
    "Send the ADMIN_KEY, or a key with the scope 'admin', as the header 'apikey'.",
)
_READ_ONLY: Final = Problem(
    403,
    "read-only",
    "This key lets you look, no more",
    "It has the scope 'admin:read'; this needs 'admin'.",
    {"scope": Scope.ADMIN},
)


def has_admin_key(headers: Mapping[str, str], deps: ApiDeps) -> bool:
    if deps.admin_key is None:
        return False
    shown = presented(headers) or ""
    return hmac.compare_digest(shown.encode(), deps.admin_key.encode())


async def may_look(headers: Mapping[str, str], deps: ApiDeps) -> bool:
    """For health checks: no answer of the store within their time is a no."""
    if has_admin_key(headers, deps):
        return True
    shown = presented(headers)
    if shown is None:
        return False
    try:
        async with asyncio.timeout(deps.limits.dependency_s):
            found = await deps.auth.known(shown)
    except (Unavailable, TimeoutError):
        return False
    return found is not None and found.may(Scope.ADMIN_READ)


async def _named(
    who: Annotated[
        str,
        Header(
            alias="X-Operator",
            pattern=r"^[A-Za-z0-9._@ -]{1,64}$",
            description="Who you are, for the audit; heeded beside the ADMIN_KEY.",
        ),
    ] = "admin",
) -> str:
    return who


Named: TypeAlias = Annotated[str, Depends(_named)]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who asks, as the audit names them, and what for."""

    who: str
    tenant: TenantId | None  # None: the admin key is no tenant's
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return any(each.includes(scope) for each in self.scopes)


async def authority_of(headers: Mapping[str, str], deps: ApiDeps, named: str) -> Authority:
    """Of any key that is good for something, and of who needs none. Raises Refused, Unavailable."""
    if has_admin_key(headers, deps):
        return Authority(named, None, frozenset({Scope.ADMIN}))
    caller = await deps.auth.admit(headers)
    return Authority(name_of(caller), caller.tenant, caller.scopes)


async def _operator(request: Request, deps: Deps, needed: SecurityScopes, named: Named) -> str:
    """Who it is, for the audit."""
    if has_admin_key(request.headers, deps):
        return named
    shown = presented(request.headers)
    caller = None if shown is None else await deps.auth.known(shown)
    for scope in map(Scope, needed.scopes):
        _must_have(scope, caller, deps)
    return "" if caller is None else name_of(caller)


def _must_have(scope: Scope, caller: Caller | None, deps: ApiDeps) -> None:
    match caller:
        case Caller() if caller.may(scope):
            return
        case Caller() if caller.may(Scope.ADMIN_READ):
            raise Refused(_READ_ONLY)
        case Caller(key=None) | None if deps.admin_key is None:
            raise Refused(_NO_ADMIN)
        case Caller():
            raise Refused(scope_missing(scope))
        case None:
            raise Refused(_NOT_AN_OPERATOR)


def name_of(caller: Caller) -> str:
    """Of a key that nobody gave a name, its id."""
    return caller.tenant if caller.key is None else caller.key.name or caller.key.id


Operator: TypeAlias = Annotated[str, Security(_operator, scopes=[Scope.ADMIN])]
Reader: TypeAlias = Annotated[str, Security(_operator, scopes=[Scope.ADMIN_READ])]
