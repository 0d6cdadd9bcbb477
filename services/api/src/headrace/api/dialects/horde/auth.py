"""Who asks at this door: by the header `apikey`; ten zeros are anybody, where anybody may.

The requests' ids are capabilities: whoever knows one may check, read and delete it without a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Request, Security
from fastapi.security import SecurityScopes

from headrace.api.auth import ORDINARY, Caller, presented
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde.errors import HordeError, invalid_key
from headrace.api.problems import Refused
from headrace.contracts.ids import TenantId
from headrace.core.ports.keys import Scope
from headrace.core.ports.users import SharedKey

ANONYMOUS_KEY: Final = "0000000000"
_LONGEST_AGENT: Final = 128


@dataclass(frozen=True, slots=True)
class Asker:
    """A user of this door is a tenant of ours."""

    caller: Caller
    anonymous: bool = False
    shared: SharedKey | None = None  # the key is one that a user gave away

    @property
    def tenant(self) -> TenantId:
        return self.caller.tenant

    def may(self, scope: Scope) -> bool:
        """A shared key is good for asking, and for what came of it."""
        return self.caller.may(scope) or (self.shared is not None and scope in ORDINARY)

    def must_own(self) -> None:
        """What is for users themselves, not for whom they gave a key. Raises HordeError."""
        if self.shared is not None:
            raise HordeError(403, "Forbidden", "A shared key may not do that.")


async def asker(request: Request, deps: ApiDeps) -> Asker:
    """Raises HordeError, Unavailable. No key is an error here: it has to be said that nobody asks."""
    key = presented(request.headers)
    if key is None:
        raise invalid_key()
    if key == ANONYMOUS_KEY:
        if deps.auth.anonymous is None:
            raise invalid_key()
        return Asker(Caller(deps.auth.anonymous), anonymous=True)
    try:
        caller = await deps.auth.caller_with(key)
    except Refused as error:
        raise invalid_key() from error
    return Asker(caller, shared=await _shared(deps, caller))


async def _shared(deps: ApiDeps, caller: Caller) -> SharedKey | None:
    """Of a key that has no scopes, what it is good for here. Raises HordeError."""
    if caller.key is None or caller.scopes:
        return None
    async with deps.store.begin() as tx:
        found = await tx.shared_key(caller.key.id)
        now = await tx.now()
    if found is not None and found.expires_at is not None and found.expires_at <= now:
        raise HordeError(403, "SharedKeyExpired", "This shared key has expired.")
    return found


async def _asker(request: Request, deps: Deps, needed: SecurityScopes) -> Asker:
    return with_scopes(await asker(request, deps), needed)


async def _onlooker(request: Request, deps: Deps, needed: SecurityScopes) -> Asker:
    """The protocol's client shows no key where it looks at users: it is anonymous, where that is anybody."""
    if presented(request.headers) is None and deps.auth.anonymous is not None:
        return Asker(Caller(deps.auth.anonymous), anonymous=True)
    return await _asker(request, deps, needed)


def with_scopes(found: Asker, needed: SecurityScopes) -> Asker:
    """Raises HordeError where it lacks one."""
    for scope in map(Scope, needed.scopes):
        if not found.may(scope):
            raise HordeError(403, "Forbidden", f"This key has not the scope '{scope}'.")
    return found


Requester: TypeAlias = Annotated[Asker, Security(_asker, scopes=[Scope.SUBMIT])]
Onlooker: TypeAlias = Annotated[Asker, Security(_onlooker, scopes=[Scope.READ])]


async def _agent(request: Request) -> str:
    headers = request.headers
    # The SDK's header has an underscore.
    said = headers.get("client-agent") or headers.get("client_agent") or "unknown:0:unknown"
    return said[:_LONGEST_AGENT]


ClientAgent: TypeAlias = Annotated[str, Depends(_agent)]
"""`name:version:contact`, for people who look for a client that does wrong; never refused."""
