"""May a page of this origin open a socket? Browsers send cookies and keys along without asking."""

from __future__ import annotations

from collections.abc import Mapping, Set
from urllib.parse import urlsplit


def is_allowed(headers: Mapping[str, str], allowed: Set[str]) -> bool:
    """Programs send no Origin; pages may be our own or one of the `allowed`, which may hold `*`."""
    origin = headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return True
    # Only host and port: a proxy in front may have taken TLS off.
    try:
        host = urlsplit(origin).netloc
    except ValueError:  # "http://[": no address, so nobody's
        return False
    return host != "" and host.lower() == headers.get("host", "").lower()
