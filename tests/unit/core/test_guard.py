"""The guard takes everything back by itself, once, for a reason that it can say; and never by chance."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import TenantId
from headrace.core.job import State
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.rollouts import Sample
from headrace.core.ports.store import Store
from headrace.core.rollout import Basis, Fixed, GuardTerms, Rollout
from headrace.core.usecases.guard import guard, judge, quantile
from headrace.core.usecases.record import record
from headrace.testkit.deciding import ANY, POLICY, a_failure, a_result, put, running
from headrace.testkit.waits import eventually

TERMS = GuardTerms(at_least=30, errors_over=0.05, slower_by=1.0)
BASIS = Basis()


def samples(
    count: int,
    *,
    kind: str = "text",
    state: State = State.SUCCEEDED,
    wait: float = 0.1,
    run: Any = 1.0,
) -> list[Sample]:
    return [Sample(kind, state, wait, run)] * count


GOOD = samples(100)


def test_paths_that_do_alike_are_left_alone() -> None:
    assert judge(GOOD, samples(40), TERMS) is None


def test_more_failures_than_agreed_are_told_with_both_counts() -> None:
    why = judge(GOOD, samples(34) + samples(6, state=State.DEAD), TERMS)

    assert why == (
        "text: 6 of 40 jobs failed on distributed (15.0%), 0 of 100 on local (0.0%); 5.0% more are"
        " allowed"
    )


def test_two_failures_of_thirty_are_chance() -> None:
    assert judge(GOOD, samples(28) + samples(2, state=State.FAILED), TERMS) is None


def test_what_fails_on_the_old_path_as_well_is_not_held_against_the_new_one() -> None:
    half = samples(50) + samples(50, state=State.FAILED)

    assert judge(half, samples(16) + samples(17, state=State.FAILED), TERMS) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"wait": 5.0}, "text waits longer: half of 40 jobs up to 5.00 s on distributed"),
        ({"run": 9.0}, "text runs longer: half of 40 jobs up to 9.00 s on distributed"),
    ],
)
def test_a_slow_path_is_told_with_what_was_allowed(fields: dict[str, Any], said: str) -> None:
    why = judge(GOOD, samples(40, **fields), TERMS)

    assert why is not None
    assert why.startswith(said)
    assert "of 100 on local;" in why


def test_what_has_not_ended_counts_with_the_time_so_far() -> None:
    stuck = samples(40, state=State.QUEUED, wait=60.0, run=None)

    assert "waits longer" in (judge(GOOD, stuck, TERMS) or "")
    assert "runs longer" in (judge(GOOD, samples(40, state=State.RUNNING, run=60.0), TERMS) or "")


def test_a_tail_is_looked_at_once_there_are_enough_jobs_to_have_one() -> None:
    tail = samples(90) + samples(10, run=30.0)

    assert "95 % of 100 jobs" in (judge(GOOD, tail, TERMS) or "")
    assert judge(GOOD, samples(81) + samples(9, run=30.0), TERMS) is None


def test_few_jobs_say_nothing_and_other_kinds_are_not_mixed_in() -> None:
    bad = samples(29, state=State.DEAD)

    assert judge(GOOD, bad, TERMS) is None
    assert judge(GOOD, bad + samples(40, kind="image"), TERMS) is None
    assert judge(samples(29), samples(40, state=State.DEAD), TERMS) is None


def test_what_was_cancelled_says_nothing() -> None:
    assert judge(GOOD, samples(99, state=State.CANCELLED, wait=99.0), TERMS) is None


any_sample = st.builds(
    Sample,
    kind=st.sampled_from(["text", "image"]),
    state=st.sampled_from(State),
    wait_s=st.floats(0, 1e6),
    run_s=st.none() | st.floats(0, 1e6),
)


@given(st.lists(any_sample, max_size=200))
def test_a_path_is_never_worse_than_itself(path: list[Sample]) -> None:
    assert judge(path, path, GuardTerms(at_least=1, errors_over=0.0, slower_by=0.0)) is None


def test_quantiles_are_values_that_were_seen() -> None:
    assert quantile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert quantile([float(number) for number in range(1, 101)], 0.95) == 95.0
    assert quantile([7.0], 0.95) == 7.0


async def roll_out(store: Store, **fields: Any) -> None:
    async with store.begin() as tx:
        terms = GuardTerms(at_least=3)
        assert await tx.save_rollout(
            Rollout(version=1, **{"percent": 10, "guard": terms, **fields})
        )


async def ended(store: Store, path: str, *, failing: int = 0, count: int = 4) -> None:
    for number in range(count):
        job = await running(store, path=path)
        result = a_failure(job, "input") if number < failing else a_result(job)
        await record(store, [result], policy=POLICY, random=ANY)


async def stored(store: Store) -> Rollout:
    async with store.begin() as tx:
        found = await tx.rollout()
    assert found is not None
    return found


async def test_what_does_worse_is_taken_back_in_one_change_that_says_why(store: Store) -> None:
    await roll_out(store, internal=(TenantId("us"),), kinds={"image": DISTRIBUTED, "text": LOCAL})
    await ended(store, LOCAL)
    await ended(store, DISTRIBUTED, failing=4)

    verdict = await guard(store, BASIS)

    now = await stored(store)
    async with store.begin() as tx:
        (deed,) = await tx.audited(before=None, limit=10)
    assert verdict is not None
    assert "4 of 4 jobs failed on distributed" in verdict.tripped.why
    assert (now.version, now.percent, now.internal) == (2, 0, ())
    assert now.kinds == {"text": LOCAL}
    assert now.tripped is not None
    assert (now.tripped.why, now.tripped.percent) == (verdict.tripped.why, 10)
    assert (deed.deed.who, deed.deed.action) == ("guard", "rollout.rollback")
    assert deed.deed.detail["percent"] == "10 -> 0"
    assert deed.deed.detail["why"] == verdict.tripped.why


async def test_several_dispatchers_take_it_back_once(store: Store) -> None:
    await roll_out(store)
    await ended(store, LOCAL)
    await ended(store, DISTRIBUTED, failing=4)

    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(guard(store, BASIS)) for _ in range(4)]

    assert sum(each.result() is not None for each in looks) == 1
    assert (await stored(store)).version == 2


@pytest.mark.parametrize(
    "fields",
    [{"percent": 0}, {"guard": GuardTerms(on=False, at_least=3)}, {"guard": GuardTerms()}],
)
async def test_it_leaves_alone_what_is_off_or_has_too_little_to_tell(
    store: Store, fields: dict[str, Any]
) -> None:
    await roll_out(store, **fields)
    await ended(store, LOCAL)
    await ended(store, DISTRIBUTED, failing=4)

    assert await guard(store, BASIS) is None
    assert (await stored(store)).version == 1


async def test_jobs_of_before_the_last_change_are_not_held_against_it(store: Store) -> None:
    await ended(store, LOCAL)
    await ended(store, DISTRIBUTED, failing=4)
    await roll_out(store)

    assert await guard(store, BASIS) is None


async def test_what_nobody_runs_is_found_though_nothing_ends(store: Store) -> None:
    await roll_out(store, guard=GuardTerms(at_least=3, slower_by=0))
    await ended(store, LOCAL)
    for _ in range(4):
        await put(store, path=DISTRIBUTED)

    early = await guard(store, BASIS)
    verdict = await eventually(lambda: guard(store, BASIS), within=10)

    assert early is None
    assert verdict is not None
    assert "waits longer: half of 4 jobs" in verdict.tripped.why


async def test_what_the_environment_holds_is_told_and_left(store: Store) -> None:
    await roll_out(store)
    await ended(store, LOCAL)
    await ended(store, DISTRIBUTED, failing=4)

    verdict = await guard(store, Basis(fixed=Fixed(percent=10.0)))

    assert verdict is not None
    assert verdict.fixed
    assert (await stored(store)).version == 1
