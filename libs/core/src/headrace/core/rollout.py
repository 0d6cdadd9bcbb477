"""Which path a job takes: one record that an operator changes, and one pure function that reads it.

Laws:
1. A kind that is pinned to a path takes it, whosever job it is; then come the internal tenants, who
   take the new path; then the percent. Nothing else decides.
2. The percent is of tenants, by `share_of`: the first eight bytes of SHA-256 of `rollout:TENANT`, as
   a fraction of 2^64, times 100. Who is below the percent is in. So a tenant is in or out whichever
   process is asked and however often, and whoever is in at 10 is in at 50.
3. At 0 percent nobody is in by it, at 100 everybody is.
4. What the environment fixes holds over what is stored, and what is stored over the mode's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias

from headrace.contracts.ids import JobId, TenantId

Choose: TypeAlias = Callable[[TenantId, str], str]
"""The path of a tenant's new job of this kind."""

OLD: Final = "local"  # what a rollout moves away from, and back to
NEW: Final = "distributed"
ALL: Final = 100.0
MOST_NAMES: Final = 1000  # internal tenants, and pinned kinds
NOTHING_IS_STORED: Final = 0  # as a version


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTerms:
    """How much worse the new path may do before everything goes back by itself."""

    on: bool = True
    window_s: float = 300.0  # looks at what ended within this, and since the last change
    at_least: int = 30  # jobs of a kind on each path; it judges no fewer
    errors_over: float = 0.05  # the share that fails may be higher by this
    slower_by: float = 1.0  # waiting and running may take longer by this share: 1 is twice as long


@dataclass(frozen=True, slots=True)
class Tripped:
    """The guard took everything back."""

    at: datetime
    why: str
    percent: float  # as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    version: int = NOTHING_IS_STORED  # grows by one with each change
    internal: tuple[TenantId, ...] = ()
    percent: float = 0.0
    kinds: Mapping[str, str] = field(default_factory=dict)
    shadow_percent: float = 0.0  # of jobs, not of tenants: those run on the other path too
    guard: GuardTerms = field(default_factory=GuardTerms)
    changed_at: datetime | None = None  # set by the store
    changed_by: str | None = None
    tripped: Tripped | None = None  # until somebody moves on again

    def path(self, tenant: TenantId, kind: str) -> str:
        if (pinned := self.kinds.get(kind)) is not None:
            return pinned
        if tenant in self.internal or share_of(tenant) < self.percent:
            return NEW
        return OLD

    @property
    def moves(self) -> bool:
        """Somebody takes the new path, or would."""
        return bool(self.percent > 0 or self.internal or NEW in self.kinds.values())

    @property
    def stage(self) -> str:
        """For people."""
        if self.percent >= ALL:
            return "all"
        if self.percent > 0:
            return f"{self.percent:g} %"
        if self.internal:
            return "internal"
        return "kinds" if self.moves else "off"

    def shadows(self, job: JobId) -> bool:
        """Whether this job is one of those that run on the other path as well."""
        return place(f"shadow:{job}") < self.shadow_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What this process's environment says; None: nothing."""

    internal: tuple[TenantId, ...] | None = None
    percent: float | None = None
    kinds: Mapping[str, str] | None = None
    shadow_percent: float | None = None

    def values(self) -> dict[str, Any]:
        names = ("internal", "percent", "kinds", "shadow_percent")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


VARIABLES: Final = {name: f"ROLLOUT_{name.upper()}" for name in Fixed.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a process decides with, beside what is stored."""

    default: str = OLD  # the mode's path: everybody's until something is stored
    fixed: Fixed = field(default_factory=Fixed)

    def of(self, stored: Rollout | None) -> Rollout:
        percent = ALL if self.default == NEW else 0.0
        return replace(stored or Rollout(percent=percent), **self.fixed.values())

    @property
    def fixed_by(self) -> list[str]:
        return [VARIABLES[name] for name in self.fixed.values()]


def share_of(tenant: TenantId) -> float:
    return place(f"rollout:{tenant}")


def place(name: str) -> float:
    """Where a name stands between 0 and 100, below 100: always the same, evenly spread over many names."""
    # 53 bits are what a float holds exactly: so the largest share is still below 100.
    first = int.from_bytes(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return ALL * (first >> 11) / (1 << 53)


def rolled_back(rollout: Rollout) -> Rollout:
    """Nobody takes the new path any more, in one change. What was pinned to the old one stays so."""
    kinds = {kind: path for kind, path in rollout.kinds.items() if path == OLD}
    return replace(rollout, percent=0.0, internal=(), kinds=kinds, shadow_percent=0.0)


def other(path: str) -> str:
    return OLD if path == NEW else NEW
