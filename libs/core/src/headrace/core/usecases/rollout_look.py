"""What an operator looks at before the next step: both paths side by side, and who follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from headrace.core.job import State
from headrace.core.ports.rollouts import Comparison, Replica, Sample, Standing
from headrace.core.ports.store import Transaction
from headrace.core.rollout import Basis, Rollout
from headrace.core.usecases.guard import FAILED, LOOKED_AT, quantile
from headrace.core.usecases.rollout import in_force

SEEN_WITHIN: Final = timedelta(seconds=6)  # a replica says every two that it is there
_LATEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLook:
    """Times and failures of what has ended, at most the latest `LOOKED_AT`; None: nothing has."""

    path: str
    attended: bool
    submitted: int
    running: int
    ended: int
    failed: int
    error_rate: float | None
    wait_p50_s: float | None
    wait_p95_s: float | None
    run_p50_s: float | None
    run_p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    rollout: Rollout
    paths: list[PathLook]
    replicas: list[Replica]
    compared: int
    same: int
    latest: list[Comparison]


async def look(tx: Transaction, basis: Basis) -> Look:
    rollout, now = await in_force(tx, basis), await tx.now()
    since = now - timedelta(seconds=rollout.guard.window_s)
    paths = [
        _path(each, await tx.ended(each.path, since=since, created_since=None, limit=LOOKED_AT))
        for each in await tx.path_standings(since=since)
    ]
    compared, same = await tx.compared()
    return Look(
        rollout=rollout,
        paths=paths,
        replicas=await tx.replicas(seen_after=now - SEEN_WITHIN),
        compared=compared,
        same=same,
        latest=await tx.comparisons(limit=_LATEST),
    )


def _path(standing: Standing, ended: Sequence[Sample]) -> PathLook:
    judged = [each for each in ended if each.state is not State.CANCELLED]
    failed = sum(each.state in FAILED for each in judged)
    waits = [each.wait_s for each in judged if each.run_s is not None]
    runs = [each.run_s for each in judged if each.run_s is not None]
    return PathLook(
        path=standing.path,
        attended=standing.attended,
        submitted=standing.submitted,
        running=standing.running,
        ended=len(ended),
        failed=failed,
        error_rate=failed / len(judged) if judged else None,
        wait_p50_s=_at(waits, 0.5),
        wait_p95_s=_at(waits, 0.95),
        run_p50_s=_at(runs, 0.5),
        run_p95_s=_at(runs, 0.95),
    )


def _at(values: Sequence[float], share: float) -> float | None:
    return round(quantile(values, share), 3) if values else None
