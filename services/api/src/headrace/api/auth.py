"""Who is asking: API keys to tenants. Keys are kept as digests and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import TenantId

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Keys:
    """`anonymous` is the tenant of those who show no key; None: everybody must show one."""

    def __init__(self, keys: Mapping[str, str], *, anonymous: str | None) -> None:
        self._digests = [(TenantId(tenant), _digest(key)) for tenant, key in keys.items()]
        self.anonymous = None if anonymous is None else TenantId(anonymous)

    def admit(self, headers: Mapping[str, str]) -> TenantId:
        """The tenant of a request. A wrong key is refused even where none is needed."""
        key = presented(headers)
        if key is not None:
            return self.tenant_of(key)
        if self.anonymous is None:
            raise Refused(unauthorized("This needs a key: send it as the header 'apikey'."))
        return self.anonymous

    def tenant_of(self, key: str) -> TenantId:
        shown, owner = _digest(key), None
        for tenant, digest in self._digests:  # no early end: the time says nothing about the key
            if hmac.compare_digest(shown, digest):
                owner = tenant
        if owner is None:
            raise Refused(unauthorized("Nobody has this key."))
        return owner


def presented(headers: Mapping[str, str]) -> str | None:
    if (key := headers.get("apikey")) is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    # Keys are random, not chosen by people: a fast hash is enough, and a slow one blocks the loop.
    return hashlib.sha256(key.encode()).digest()


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", "A valid key is needed", detail, headers=_CHALLENGE)
