"""Who is asking: keys, and signed tokens, to callers. Of a key its digest is kept, here and in the store, and nothing else.

A key of the environment may do all that is its tenant's own; one of the store has scopes of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import KeyId, TenantId
from headrace.core.errors import Unavailable
from headrace.core.keyring import Keyring
from headrace.core.ports.keys import ApiKey, Scope

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
ORDINARY: Final = frozenset({Scope.SUBMIT, Scope.READ})
ALL_OWN: Final = ORDINARY | {Scope.MODELS}
HINT_CHARACTERS: Final = 4
NO_KEY: Final = "none"  # for clients that cannot do without one, such as OpenAI's
_DOTS: Final = 2  # of a token: header.claims.signature; a key has none


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, and what it may do this time."""

    tenant: TenantId
    scopes: frozenset[Scope] = ALL_OWN
    key: ApiKey | None = None  # of the store; None: of the environment, or nobody's
    digest: str = ""  # of that key
    until: float | None = None  # of a token: its end, in seconds of Unix time

    @property
    def api_key(self) -> KeyId | None:
        return None if self.key is None else self.key.id

    def may(self, scope: Scope) -> bool:
        return any(each.includes(scope) for each in self.scopes)

    def must_have(self, scope: Scope) -> None:
        if not self.may(scope):
            raise Refused(scope_missing(scope))


class Bearers(Protocol):
    """Who else is let in: whoever shows a token that an issuer signed."""

    async def caller(self, token: str) -> Caller | None:
        """None: it is not good. Raises Unavailable."""

    def over(self, until: float) -> bool:
        """Whether a token that is good until then is good no longer."""


class Keys:
    """`anonymous` is the tenant of those who show no key; None: everybody must show one.

    `ring` has the keys of the store; None: there are only those of the environment. `bearers` knows
    tokens; None: there are none.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        anonymous: str | None,
        ring: Keyring | None = None,
        bearers: Bearers | None = None,
    ) -> None:
        self._digests = [(TenantId(tenant), digest_of(key)) for tenant, key in keys.items()]
        self.anonymous = None if anonymous is None else TenantId(anonymous)
        self._ring, self._bearers = ring, bearers

    async def run(self) -> None:
        """Writes down which keys were used; must be running."""
        if self._ring is not None:
            await self._ring.run()

    @property
    def tenants(self) -> list[TenantId]:
        """Those of the environment, and of who shows no key."""
        named = [tenant for tenant, _ in self._digests]
        return named if self.anonymous is None else [*named, self.anonymous]

    async def admit(self, headers: Mapping[str, str]) -> Caller:
        """A wrong key is refused even where none is needed. Raises Refused, Unavailable."""
        key = presented(headers)
        if key is not None:
            return await self.caller_with(key)
        if self.anonymous is None:
            raise Refused(unauthorized("This needs a key: send it as the header 'apikey'."))
        return Caller(self.anonymous)

    async def caller_with(self, key: str) -> Caller:
        """Raises Refused, Unavailable."""
        caller = await self.known(key)
        if caller is None:
            raise Refused(unauthorized("Nobody has this key."))
        return caller

    async def known(self, key: str) -> Caller | None:
        """Raises Unavailable: whether it is good cannot be known now."""
        digest = digest_of(key)
        owner = None
        for tenant, each in self._digests:  # no early end: the time says nothing about the key
            if hmac.compare_digest(digest, each):
                owner = tenant
        if owner is not None:
            return Caller(owner)
        if self._bearers is not None and key.count(".") == _DOTS:
            return await self._bearers.caller(key)
        return await self._of_store(digest)

    async def still_good(self, digest: str, until: float | None = None) -> bool:
        """For what lasts longer than a request; of a key of the store ("" is good for ever) or a token.

        While the store does not answer nothing is cut off.
        """
        if until is not None and (self._bearers is None or self._bearers.over(until)):
            return False
        if not digest or self._ring is None or self._ring.silent:
            return True
        try:
            return await self._of_store(digest) is not None
        except Unavailable:
            return True

    async def _of_store(self, digest: str) -> Caller | None:
        found = None if self._ring is None else await self._ring.find(digest)
        return None if found is None else Caller(found.tenant, found.scopes, found, digest)


def presented(headers: Mapping[str, str]) -> str | None:
    if (key := headers.get("apikey")) is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or token.strip() == NO_KEY:
        return None
    return token.strip()


def new_key() -> str:
    """22 characters that are safe in addresses and shells: 128 random bits."""
    return secrets.token_urlsafe(16)


def digest_of(key: str) -> str:
    # Keys are random, not chosen by people: a fast hash is enough, and a slow one blocks the loop.
    return hashlib.sha256(key.encode()).hexdigest()


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", "A valid key is needed", detail, headers=_CHALLENGE)


def scope_missing(scope: Scope) -> Problem:
    detail = f"This key has not the scope '{scope}'."
    return Problem(403, "scope-missing", "This key may not do that", detail, {"scope": scope})
