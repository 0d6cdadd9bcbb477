"""How a producer behaves; what is usual fits nearly everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FRAMES_AT_ONCE: Final = 256
BYTES_AT_ONCE: Final = 256 * 1024
MAX_FRAME_BYTES: Final = 64 * 1024
MAX_WAITING_BYTES: Final = 2**20
LINGER_S: Final = 0.02  # what is written within it travels together
ANSWER_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`lease_s`: one that is silent for so long is lost, and its watchers are told.

    `patience_s`: how long Redis may be away before `append` raises. Until then chunks wait, up to a mebibyte of
    them; then `append` waits. `ttl_s`: how long the live chunks are kept after the last one; as STREAM_TTL_S.
    """

    lease_s: float = 15.0
    patience_s: float = 30.0
    ttl_s: float = 3600.0

    def __post_init__(self) -> None:
        if not 1 <= self.lease_s <= 600:  # noqa: PLR2004  # as LEASE_S is bounded
            raise ValueError("lease_s must be between 1 and 600 seconds")
        if self.patience_s <= 0 or self.ttl_s < self.lease_s:
            raise ValueError("patience_s must be above 0, and ttl_s at least lease_s")
