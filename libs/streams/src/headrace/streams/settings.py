"""Where the streams are, from the environment, by the names that the rest of Headrace reads."""

from __future__ import annotations

import os


def redis_url(given: str | None) -> str:
    """Raises ValueError when nobody says where Redis is."""
    url = given or os.environ.get("REDIS_URL", "")
    if not url:
        raise ValueError("say where Redis is: url='redis://host:6379/0', or set REDIS_URL")
    return url


def namespace(given: str | None) -> str:
    return given or os.environ.get("NAMESPACE") or "headrace"
