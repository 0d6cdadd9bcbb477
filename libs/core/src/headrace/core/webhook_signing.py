"""Signatures by Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, one for each valid secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # the standard wants 24 to 64


def secret_of(random: bytes) -> str:
    """As it is shown; `random` are SECRET_BYTES that nobody can guess."""
    return PREFIX + base64.b64encode(random).decode()


def signature(secrets: Sequence[str], message: str, timestamp: int, body: bytes) -> str:
    """Newest first. A receiver takes the message if it knows any of the secrets."""
    signed = f"{message}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_mac(secret, signed)}" for secret in secrets)


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
