"""Change the rollout: guarded by its version, audited in the same transaction, refused where it cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from headrace.contracts.ids import TenantId
from headrace.core.errors import PathMissing, RolloutFixed, RolloutMoved, RolloutUnsaid
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Transaction
from headrace.core.rollout import NEW, OLD, VARIABLES, Basis, Rollout, Tripped, rolled_back

GUARD: Final = "guard"  # who it was, in the audit
_SAID: Final = ("internal", "percent", "kinds", "shadow_percent", "guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What shall be; None stays as it is."""

    internal: tuple[TenantId, ...] | None = None
    percent: float | None = None
    kinds: Mapping[str, str] | None = None
    shadow_percent: float | None = None
    guard: Mapping[str, Any] | None = None  # terms by name; what is left out stays too
    expect_version: int | None = None

    def applied_to(self, rollout: Rollout) -> Rollout:
        given = {
            name: value
            for name in ("internal", "percent", "kinds", "shadow_percent")
            if (value := getattr(self, name)) is not None
        }
        return replace(rollout, **given, guard=replace(rollout.guard, **(self.guard or {})))


async def in_force(tx: Transaction, basis: Basis) -> Rollout:
    return basis.of(await tx.rollout())


async def change_rollout(
    tx: Transaction, wish: Wish, *, basis: Basis, who: str, lacks: str | None
) -> Rollout:
    """`lacks`: what this installation lacks for the new path, in words.

    Raises RolloutMoved, RolloutFixed, RolloutUnsaid, PathMissing.
    """
    before = await in_force(tx, basis)
    if wish.expect_version not in {None, before.version}:
        raise RolloutMoved(before.version)
    after = wish.applied_to(before)
    _refuse_fixed(basis, _changed(before, after))
    if not before.version and wish.percent is None and basis.fixed.percent is None:
        await _refuse_unsaid(tx)
    if _asks_more(before, after):
        await _refuse_missing(tx, lacks)
    return await _save(tx, before, after, who=who, action="rollout.change")


async def roll_back(
    tx: Transaction, *, basis: Basis, who: str, tripped: Tripped | None = None
) -> Rollout:
    """Everybody on the old path again, in one change. Raises RolloutMoved, RolloutFixed."""
    before = await in_force(tx, basis)
    after = rolled_back(before)
    _refuse_fixed(basis, _changed(before, after))
    after = replace(after, tripped=tripped)
    return await _save(tx, before, after, who=who, action="rollout.rollback")


def _changed(before: Rollout, after: Rollout) -> list[str]:
    return [name for name in _SAID if getattr(before, name) != getattr(after, name)]


def _refuse_fixed(basis: Basis, changed: list[str]) -> None:
    fixed = [VARIABLES[name] for name in changed if name in basis.fixed.values()]
    if fixed:
        raise RolloutFixed(fixed)


def _asks_more(before: Rollout, after: Rollout) -> bool:
    """Of the new path. Less of it is always granted."""
    pinned = [
        {kind for kind, path in each.kinds.items() if path == NEW} for each in (before, after)
    ]
    return (
        after.percent > before.percent
        or after.shadow_percent > before.shadow_percent
        or not set(after.internal) <= set(before.internal)
        or not pinned[1] <= pinned[0]
    )


async def _refuse_unsaid(tx: Transaction) -> None:
    if await tx.attended() >= {OLD, NEW}:
        raise RolloutUnsaid


async def _refuse_missing(tx: Transaction, lacks: str | None) -> None:
    if lacks is not None:
        raise PathMissing(lacks)
    if NEW not in await tx.attended():
        raise PathMissing(
            "no dispatcher attends to the distributed path: start one with EXECUTION_MODE=EDA"
            " (headrace up dispatcher), and workers, on this store, Redis and NAMESPACE"
        )


async def _save(
    tx: Transaction, before: Rollout, after: Rollout, *, who: str, action: str
) -> Rollout:
    changed = _changed(before, after)
    if not changed and before.version and after.tripped == before.tripped:
        return before
    if after.moves and changed:
        after = replace(after, tripped=None)  # somebody has seen it, and moves on
    after = replace(after, version=before.version + 1, changed_by=who)
    if not await tx.save_rollout(after):
        stored = await tx.rollout()
        raise RolloutMoved(0 if stored is None else stored.version)
    detail = {name: f"{_told(before, name)} -> {_told(after, name)}" for name in changed}
    if after.tripped is not None and after.tripped != before.tripped:
        detail["why"] = after.tripped.why
    await tx.audit([Deed(who, action, f"version {after.version}", detail)])
    return await in_force_now(tx, after)


async def in_force_now(tx: Transaction, saved: Rollout) -> Rollout:
    """As it was saved, with the store's time."""
    return replace(saved, changed_at=await tx.now())


def _told(rollout: Rollout, name: str) -> str:
    value = getattr(rollout, name)
    match value:
        case tuple():
            return ",".join(value) or "nobody"
        case dict():
            return ",".join(f"{kind}={path}" for kind, path in value.items()) or "none"
        case float() | int():
            return f"{value:g}"
        case _:
            return " ".join(f"{each.name}={getattr(value, each.name)}" for each in fields(value))
