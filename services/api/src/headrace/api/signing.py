"""Addresses that let whoever has them do one thing for a while: signed, and nothing about them is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

_MAC_BYTES: Final = 16
_LONGEST: Final = 1024  # characters of a token; longer ones are not looked at


class Signer:
    """`secret` is shared by all replicas of the api; with another one no token of before is good."""

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:  # noqa: TID251  # the default of what is taken
        self._secret, self._clock = secret, clock

    def sign(self, what: str, *about: str, within_s: float) -> str:
        """A token for doing `what` with these, until then; safe in a path."""
        until = int(self._clock() + within_s)
        body = msgspec.json.encode([what, until, *about])
        return _text(self._mac(body) + body)

    def read(self, what: str, token: str) -> Sequence[str] | None:
        """What it is about; None: forged, for something else, or over."""
        raw = _raw(token)
        body = raw[_MAC_BYTES:]
        if not body or not hmac.compare_digest(raw[:_MAC_BYTES], self._mac(body)):
            return None
        said, until, *about = msgspec.json.decode(body)
        return about if said == what and self._clock() <= until else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(token: str) -> bytes:
    if len(token) > _LONGEST:
        return b""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
