"""Signed tokens of an OpenID issuer: who they say asks, as a caller like any other.

What counts is fixed here and not said by the token: the algorithms, the issuer and the audience. A
token needs an end, and is good until then: nobody revokes it, so issuers keep them short.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from headrace.api.auth import Caller
from headrace.api.issuer import SigningKeys
from headrace.contracts.ids import TenantId
from headrace.core.ports.keys import Scope

# Signatures that need a private key: a public one must never be taken for a shared secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_LEEWAY_S: Final = 30
_LONGEST: Final = 8192  # characters
_TENANT: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_PREFIX: Final = "headrace:"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose tokens are good here, and where they say what."""

    issuer: str
    audience: str
    tenant_claim: str = "sub"
    scopes_claim: str = "scope"


class Tokens:
    def __init__(
        self,
        trust: Trust,
        keys: SigningKeys,
        *,
        clock: Callable[[], float] = time.time,  # noqa: TID251  # a token's end is on the wall clock
    ) -> None:
        self._trust, self._keys, self._clock = trust, keys, clock

    async def caller(self, token: str) -> Caller | None:
        """None: it is not good. Raises Unavailable: the issuer's keys cannot be had."""
        try:
            key = await self._key_of(token)
            claims = None if key is None else self._claims(token, key)
        except jwt.PyJWTError as error:
            log.info("token.refused", extra={"why": type(error).__name__})
            return None
        return None if claims is None else _caller(claims, self._trust)

    async def _key_of(self, token: str) -> jwt.PyJWK | None:
        if len(token) > _LONGEST:
            return None
        kid = jwt.get_unverified_header(token).get("kid")
        return await self._keys.key(kid) if isinstance(kid, str) else None

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=self._trust.issuer,
            audience=self._trust.audience,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iss", "aud"]},
        )

    def over(self, until: float) -> bool:
        return self._clock() > until + _LEEWAY_S


def _caller(claims: Mapping[str, Any], trust: Trust) -> Caller | None:
    tenant = claims.get(trust.tenant_claim)
    if not isinstance(tenant, str) or _TENANT.fullmatch(tenant) is None:
        log.info("token.refused", extra={"why": f"no tenant in {trust.tenant_claim}"})
        return None
    scopes = scopes_in(claims.get(trust.scopes_claim))
    return Caller(TenantId(tenant), scopes, until=float(claims["exp"]))


def scopes_in(said: object) -> frozenset[Scope]:
    """Words in a string, or a list; `headrace:submit` as well as `submit`. Others are somebody else's."""
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
    ours = {str(scope) for scope in Scope}
    named = {word.removeprefix(_PREFIX) for word in words if isinstance(word, str)}
    return frozenset(Scope(word) for word in named & ours)
