"""Where is every job that was accepted? Asked of the service itself, once the load is over."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from headrace.testkit.load.figures import Evidence
from headrace.testkit.load.orders import NOISY
from headrace.testkit.load.target import Target

LOST: Final = "lost"
WAITING: Final = "still waiting"
ACCOUNT: Final = frozenset({LOST, WAITING})
AT_ONCE: Final = 64  # as many as one request may name
LOOK_EVERY_S: Final = 1.0
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled", "dead"})


@dataclass(frozen=True, slots=True)
class Account:
    """By job. A flood's jobs may still wait: they are kept, and that is all that is asked."""

    unknown: Sequence[str]
    open: Sequence[str]
    waiting: int
    why: str = ""  # there is no account

    def facts(self) -> dict[str, float]:
        if self.why:
            return {}
        return {LOST: len(self.unknown) + len(self.open), WAITING: self.waiting}


async def account_of(evidence: Evidence, target: Target, *, within: float) -> Account:
    """What has not ended is waited for; what has not by then counts as lost."""
    asked = [
        each for each in evidence.accepted.values() if each.job not in _seen_to_the_end(evidence)
    ]
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for each in asked:
        by_tenant[each.tenant].append(each.job)
    states: dict[str, str] = {}
    try:
        async with asyncio.timeout(2 * within):
            for tenant, jobs in by_tenant.items():
                patience = 0.0 if tenant == NOISY else within
                states |= await _states(target, tenant, jobs, patience)
    except (httpx.HTTPError, TimeoutError) as error:
        return Account(
            (), (), 0, f"the service could not be asked: {str(error) or type(error).__name__}"
        )
    left = {each.job: each.tenant for each in asked if states.get(each.job) not in TERMINAL}
    return Account(
        unknown=[job for job in left if job not in states],
        open=[job for job, tenant in left.items() if job in states and tenant != NOISY],
        waiting=sum(job in states and tenant == NOISY for job, tenant in left.items()),
    )


def _seen_to_the_end(evidence: Evidence) -> set[str]:
    return {job for job, each in evidence.ended.items() if each.state in TERMINAL}


async def _states(
    target: Target, tenant: str, jobs: Sequence[str], within: float
) -> dict[str, str]:
    """Of each that the service knows."""
    key = target.keys.get(tenant, "")
    found: dict[str, str] = {}
    async with httpx.AsyncClient(
        base_url=target.url, headers={"apikey": key} if key else {}, trust_env=False, timeout=30
    ) as http:
        deadline = asyncio.get_running_loop().time() + within
        while left := [job for job in jobs if found.get(job) not in TERMINAL]:
            found |= {job: state async for job, state in _asked(http, left)}
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(LOOK_EVERY_S)
    return found


async def _asked(http: httpx.AsyncClient, jobs: Sequence[str]) -> AsyncGenerator[tuple[str, str]]:
    for start in range(0, len(jobs), AT_ONCE):
        answer = await http.get("/jobs/statuses", params={"id": jobs[start : start + AT_ONCE]})
        answer.raise_for_status()
        for each in answer.json():
            yield each["id"], each["state"]
