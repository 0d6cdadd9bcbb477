"""Watchers are thrown off hundreds of times, and each still has every frame once, or was told a reset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from headrace.testkit.chaos.checker import Judgement
from headrace.testkit.chaos.handles import lasting, redis_command
from headrace.testkit.chaos.ledger import read_executions
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.client import Door

pytestmark = [pytest.mark.chaos, pytest.mark.real]

Fault: TypeAlias = Callable[[Rig], Coroutine[Any, Any, int]]

DELAY_S: Final = 0.005  # from one token to the next
PAUSE_S: Final = (0.02, 0.08)
CUTS_IN_A_ROW: Final = 20
LEAVES_ONCE_IN: Final = 150  # frames
DOORS: Final[tuple[Door, ...]] = ("events", "ws")
# What is thrown at them costs nobody a lease, and a machine that is busy with them is not to either.
CALM: Final = {"LEASE_S": "30"}
SIZES: Final = [
    pytest.param(1_000, 4, marks=pytest.mark.timeout(180)),
    pytest.param(12_000, 8, marks=[pytest.mark.full, pytest.mark.timeout(420)]),
]


async def subscriptions_cut(here: Rig) -> int:
    """One row of kills, 20 to 80 ms apart; how many connections there were to kill."""
    cut = 0
    for _ in range(CUTS_IN_A_ROW):
        cut += await redis_command(here.urls["redis"], "CLIENT", "KILL", "TYPE", "pubsub")
        await lasting(here.random.uniform(*PAUSE_S))
    return cut


async def api_killed(here: Rig) -> int:
    """kill -9, and a start; until it answers."""
    await here.replace("api")
    await here.system.ready()
    return 1


async def redis_flushed(here: Rig) -> int:
    await redis_command(here.urls["redis"], "FLUSHALL")
    return 1


async def redis_emptied(here: Rig) -> int:
    """kill -9, and a start with nothing in it."""
    await here.servers["redis"].kill()
    await here.servers["redis"].start()
    return 1


@pytest.mark.parametrize(("tokens", "watchers"), SIZES)
async def test_no_disconnect_costs_a_frame(
    house: House, tmp_path: Path, figures: list[str], tokens: int, watchers: int
) -> None:
    """Connections of clients, Pub/Sub connections and the api go again and again; the log stays."""
    async with rig(house, tmp_path, env=CALM) as here:
        faults = await through(here, tokens, watchers, subscriptions_cut, api_killed)
        judgement = await here.quiet()

    whole = {(0, 1), (1, 1), (2, 1), *((1, seq) for seq in range(2, tokens + 2))}
    seen = [[(f.epoch, f.seq) for f in t.frames] for t in here.ledger.read().transcripts]
    lost = sum(len(whole.difference(frames)) for frames in seen)
    twice = sum(len(frames) - len(set(frames)) for frames in seen)
    disorder = sum(before > after for frames in seen for before, after in pairwise(frames))
    figures.append(f"{told(tokens, watchers, faults, judgement)}: {lost=} {twice=} {disorder=}")
    assert (lost, twice, disorder, judgement.counts["resets"]) == (0, 0, 0, 0)
    assert len(seen) == watchers
    assert judgement.counts["resumes"] >= watchers


@pytest.mark.parametrize(("tokens", "watchers"), SIZES)
async def test_a_log_that_is_lost_is_a_reset_with_what_the_store_knows(
    house: House, tmp_path: Path, figures: list[str], tokens: int, watchers: int
) -> None:
    """FLUSHALL, Redis killed and restarted empty, and what the other test does, in turn."""
    async with rig(house, tmp_path, env=CALM) as here:
        faults = await through(
            here,
            tokens,
            watchers,
            redis_flushed,
            subscriptions_cut,
            redis_emptied,
            api_killed,
            subscriptions_cut,
        )
        judgement = await here.quiet()

    counts = judgement.counts
    missing = watchers * (tokens + 3) - (counts["frames"] - counts["resets"])
    said = f"{missing} frames gone with the log, each behind one of {counts['resets']} resets"
    figures.append(f"{told(tokens, watchers, faults, judgement)}: {said}")
    assert counts["transcripts"] == watchers <= counts["resumes"]
    assert counts["resets"] >= watchers


async def through(here: Rig, tokens: int, watchers: int, *faults: Fault) -> Counter[str]:
    """One job from its start to its end, watched through both doors; how often each fault struck."""
    job = await here.crowd.submit(words=tokens, delay_s=DELAY_S)
    for door in (each for each, _ in zip(cycle(DOORS), range(watchers), strict=False)):
        here.watch(job, door=door, leaves=now_and_then(here))
    await here.started()
    struck: Counter[str] = Counter()
    for fault in cycle(faults):
        struck[fault.__name__] += await fault(here)
        if not runs(here):
            break
    await here.watched(watchers, within=120)
    return struck


def now_and_then(here: Rig) -> Callable[[], bool]:
    return lambda: here.random.random() < 1 / LEAVES_ONCE_IN


def runs(here: Rig) -> bool:
    return any(run.ended is None for run in read_executions(here.executions))


def told(tokens: int, watchers: int, faults: Counter[str], judgement: Judgement) -> str:
    struck = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in faults.items())
    resumes = judgement.counts["resumes"]
    return f"splice, {tokens} tokens, {watchers} watchers, {struck}, {resumes} resumes"
