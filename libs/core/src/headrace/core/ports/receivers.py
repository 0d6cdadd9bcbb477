"""Receivers: whoever is called on the other side of a network that nobody here can trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    status: int | None  # None: there was none, and `error` says why
    error: str | None = None
    retry_after_s: float | None = None
    took_s: float = 0.0


class Receivers(Protocol):
    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what a receiver does, and always answers within a limit of its own."""
