"""Hold the new path against the old one, and take everything back when it does worse than was agreed.

Laws:
1. It compares kind by kind, and only where both paths have `at_least` jobs to tell of: those that were
   submitted since the last change. So each step is judged by itself, and what went wrong before a
   change is not held against what came after it.
2. What has not ended on the new path counts with the time that it has waited or run so far, which can
   only be too little. So a path on which nothing ends any more is found as well.
3. What was cancelled says nothing about its path.
4. A difference that two jobs could make is chance: of failures it takes `CHANCE` more than there would
   have been on the old path, of times `SLACK_S` more, and a p95 is looked at from `FOR_P95` jobs on.
5. It writes once: the change is guarded by the version that it judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Final

from headrace.core.errors import RolloutFixed, RolloutMoved
from headrace.core.job import State
from headrace.core.ports.rollouts import Sample
from headrace.core.ports.store import Store, Transaction
from headrace.core.rollout import NEW, OLD, Basis, GuardTerms, Rollout, Tripped
from headrace.core.usecases.rollout import GUARD, in_force, roll_back

LOOKED_AT: Final = 2000  # jobs of each path
CHANCE: Final = 3
SLACK_S: Final = 0.5
FOR_P95: Final = 100
FAILED: Final = frozenset({State.FAILED, State.DEAD})
_OVER: Final = FAILED | {State.SUCCEEDED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fixed`: it would have taken everything back, but the environment holds it there."""

    tripped: Tripped
    fixed: bool = False


async def guard(store: Store, basis: Basis) -> Verdict | None:
    """None: nothing to do, or another dispatcher has done it."""
    async with store.begin() as tx:
        rollout = await in_force(tx, basis)
        if rollout.changed_at is None or not (rollout.moves and rollout.guard.on):
            return None
        why = await _too_bad(tx, rollout)
        if why is None:
            return None
        tripped = Tripped(await tx.now(), why, rollout.percent)
        try:
            await roll_back(tx, basis=basis, who=GUARD, tripped=tripped)
        except RolloutMoved:
            return None
        except RolloutFixed:
            return Verdict(tripped, fixed=True)
    return Verdict(tripped)


async def _too_bad(tx: Transaction, rollout: Rollout) -> str | None:
    changed_at = rollout.changed_at or await tx.now()
    since = max(changed_at, await tx.now() - timedelta(seconds=rollout.guard.window_s))
    new = await tx.ended(NEW, since=since, created_since=changed_at, limit=LOOKED_AT)
    open_ = await tx.unended(NEW, created_since=changed_at, limit=LOOKED_AT)
    if len(new) + len(open_) < rollout.guard.at_least:
        return None
    old = await tx.ended(OLD, since=since, created_since=changed_at, limit=LOOKED_AT)
    return judge(old, [*new, *open_], rollout.guard)


def judge(old: Iterable[Sample], new: Iterable[Sample], terms: GuardTerms) -> str | None:
    """What is too bad, in words; None: nothing."""
    before, after = _by_kind(old), _by_kind(new)
    for kind in sorted(before.keys() & after.keys()):
        if min(len(before[kind]), len(after[kind])) >= terms.at_least:
            for complaint in _complaints(kind, before[kind], after[kind], terms):
                return complaint
    return None


def _by_kind(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    kinds: dict[str, list[Sample]] = defaultdict(list)
    for each in samples:
        if each.state is not State.CANCELLED:
            kinds[each.kind].append(each)
    return kinds


def _complaints(
    kind: str, old: Sequence[Sample], new: Sequence[Sample], terms: GuardTerms
) -> Iterator[str]:
    over = [each for each in new if each.state in _OVER]
    if len(over) >= terms.at_least:
        yield from _failures(kind, old, over, terms)
    waits = [[each.wait_s for each in samples] for samples in (old, new)]
    yield from _times(kind, "waits", waits[0], waits[1], terms)
    runs = [[s.run_s for s in samples if s.run_s is not None] for samples in (old, new)]
    yield from _times(kind, "runs", runs[0], runs[1], terms)


def _failures(
    kind: str, old: Sequence[Sample], new: Sequence[Sample], terms: GuardTerms
) -> Iterator[str]:
    failed = [sum(each.state in FAILED for each in samples) for samples in (old, new)]
    share = [failed[0] / len(old), failed[1] / len(new)]
    by_chance = share[0] * len(new) + CHANCE
    if share[1] > share[0] + terms.errors_over and failed[1] >= by_chance:
        yield (
            f"{kind}: {failed[1]} of {len(new)} jobs failed on {NEW} ({share[1]:.1%}), {failed[0]} of"
            f" {len(old)} on {OLD} ({share[0]:.1%}); {terms.errors_over:.1%} more are allowed"
        )


def _times(
    kind: str, does: str, old: Sequence[float], new: Sequence[float], terms: GuardTerms
) -> Iterator[str]:
    fewest = min(len(old), len(new))
    if fewest < terms.at_least:
        return
    for name, share in (("half", 0.5), ("95 %", 0.95)):
        if share > 0.5 and fewest < FOR_P95:  # noqa: PLR2004  # the median
            return
        was, is_ = quantile(old, share), quantile(new, share)
        allowed = was * (1 + terms.slower_by) + SLACK_S
        if is_ > allowed:
            yield (
                f"{kind} {does} longer: {name} of {len(new)} jobs up to {is_:.2f} s on {NEW}, and up to"
                f" {was:.2f} s of {len(old)} on {OLD}; {allowed:.2f} s are allowed"
            )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
