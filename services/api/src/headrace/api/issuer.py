"""The keys that an OpenID issuer signs with: fetched, kept, and asked for again when an unknown one is named.

Laws:
1. No request waits for the issuer but one that names a key that is not known here, and at most one
   question is under way.
2. However many name keys that nobody has, the issuer is asked every `ASKED_EVERY_S` at most.
3. While the issuer is away, or answers nonsense, the keys that are known go on.
4. Keys that the issuer has dropped are dropped here with the next answer, within `KEPT_S` of the first
   request after that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import httpx
import jwt
import msgspec

from headrace.core.errors import Unavailable

ASKED_EVERY_S: Final = 10.0
TRIED_EVERY_S: Final = 1.0  # while none are known
KEPT_S: Final = 600.0
ISSUER: Final = "the OpenID issuer"
_LARGEST: Final = 256 * 1024  # bytes of one answer
_MOST_KEYS: Final = 64
_WITHIN_S: Final = 3.0
_DISCOVERY: Final = "/.well-known/openid-configuration"

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""The body at an address. Raises Unavailable."""

log = logging.getLogger(__name__)


class SigningKeys:
    def __init__(
        self,
        issuer: str,
        *,
        jwks_url: str = "",
        fetch: Fetch | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer, self._jwks_url = issuer, jwks_url
        self._fetch, self._monotonic = fetch or fetched, monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """None: the issuer has none of that name. Raises Unavailable: nothing is known of it yet."""
        if kid not in self._keys or self._age_s() > KEPT_S:
            await self._ask_again(kid)
        return self._keys.get(kid)

    def _age_s(self) -> float:
        return float("inf") if self._asked_at is None else self._monotonic() - self._asked_at

    async def _ask_again(self, kid: str) -> None:
        async with self._asking:
            if self._age_s() < (
                ASKED_EVERY_S if self._keys else TRIED_EVERY_S
            ):  # somebody has just asked
                self._must_know_some()
                return
            self._asked_at = self._monotonic()
            try:
                self._keys = keys_in(await self._fetch(await self._address()))
            except (Unavailable, ValueError) as error:
                log.warning("issuer.keys_not_fetched", extra={"error": str(error), "kid": kid[:64]})
                self._must_know_some()

    def _must_know_some(self) -> None:
        if not self._keys:
            raise Unavailable(ISSUER, "its keys could not be fetched")

    async def _address(self) -> str:
        if self._jwks_url:
            return self._jwks_url
        said = _object(await self._fetch(self._issuer.rstrip("/") + _DISCOVERY))
        found = said.get("jwks_uri")
        if not isinstance(found, str) or not found.startswith(("https://", "http://")):
            raise ValueError("the issuer names no address of its keys")
        return found


def keys_in(body: bytes) -> dict[str, jwt.PyJWK]:
    """Those that can verify, by their names. Raises ValueError: it is no set of keys."""
    said = _object(body).get("keys")
    if not isinstance(said, list):
        raise ValueError("that is no set of keys")  # noqa: TRY004  # what came over the wire has no type
    found: dict[str, jwt.PyJWK] = {}
    for each in said[:_MOST_KEYS]:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        try:
            found[str(each["kid"])] = jwt.PyJWK(each)
        except (KeyError, jwt.PyJWTError):
            continue  # of a kind that we do not know: others may do
    if not found:
        raise ValueError("there is no key among them that can verify")
    return found


def _object(body: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(body)
    if not isinstance(found, dict):
        raise ValueError("the issuer answers no object")  # noqa: TRY004  # as above
    return found


async def fetched(address: str) -> bytes:
    """Bounded in time and size; an address that leads elsewhere is not followed. Raises Unavailable."""
    try:
        async with (
            asyncio.timeout(_WITHIN_S),
            httpx.AsyncClient(timeout=_WITHIN_S) as client,
            client.stream("GET", address) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise Unavailable(ISSUER, f"it answers {answer.status_code}")
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise Unavailable(ISSUER, f"its answer has more than {_LARGEST} bytes")
            return bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise Unavailable(ISSUER, str(error) or "it did not answer in time") from error
