"""Tenants take turns by weight and under caps: nobody's long queue delays another by more than a round."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import TenantId
from headrace.core.fair_share import Share, Turn, Visit, in_order, in_ring, visits, wanted

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")
NAMES: Final = [TenantId(f"tenant-{n}") for n in range(6)]
ENDLESS: Final = 10**6

weights = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1)
rooms = st.lists(st.integers(0, 12), min_size=1, max_size=30)


def order(made: list[Visit]) -> list[TenantId]:
    return [visit.tenant for visit in made for _ in range(visit.jobs)]


def test_a_heavy_tenant_and_a_light_one_share_the_room() -> None:
    made, _ = visits([Share(A), Share(B)], {A: 4, B: 1}, 3, Turn())

    assert order(made) == [A, B, A]


def test_a_weight_is_how_many_jobs_a_turn_has() -> None:
    made, _ = visits([Share(A, weight=3), Share(B)], {A: 9, B: 9}, 8, Turn())

    assert order(made) == [A, A, A, B, A, A, A, B]


def test_the_next_round_begins_after_the_tenant_served_last() -> None:
    shares, waiting, turn = [Share(A), Share(B), Share(C)], {A: 9, B: 9, C: 9}, Turn()

    served = []
    for _ in range(4):
        made, turn = visits(shares, waiting, 1, turn)
        served += order(made)

    assert served == [A, B, C, A]


def test_a_turn_that_was_cut_short_goes_on() -> None:
    shares, waiting = [Share(A, weight=3), Share(B)], {A: 9, B: 9}

    first, turn = visits(shares, waiting, 2, Turn())
    second, _ = visits(shares, waiting, 2, turn)

    assert (order(first), order(second)) == ([A, A], [A, B])


def test_an_empty_queue_saves_nothing_up() -> None:
    _, turn = visits([Share(A, weight=9)], {A: 1}, 5, Turn())

    assert turn == Turn(A, 0)


def test_no_room_takes_nothing_and_moves_nobody() -> None:
    assert visits([Share(A)], {A: 1}, 0, Turn(B)) == ([], Turn(B))


def test_the_ring_begins_with_whose_turn_it_is() -> None:
    shares = [Share(C), Share(A), Share(B)]

    assert [share.tenant for share in in_ring(shares, Turn(A))] == [B, C, A]
    assert [share.tenant for share in in_ring(shares, Turn(A, 2))] == [A, B, C]


def test_jobs_leave_in_the_order_of_the_visits_and_of_each_queue() -> None:
    made = [Visit(A, 2), Visit(B, 1), Visit(A, 1)]

    assert in_order(made, {A: ["a1", "a2", "a3"], B: ["b1"]}) == ["a1", "a2", "b1", "a3"]
    assert wanted(made) == {A: 3, B: 1}


@given(weights, st.data(), rooms)
def test_no_tenant_waits_for_more_than_one_turn_of_each_other(
    weight: dict[TenantId, int], data: st.DataObject, windows: list[int]
) -> None:
    shares = [Share(name, each) for name, each in weight.items()]
    left = {name: data.draw(st.integers(0, 40)) for name in weight}
    served, turn = [], Turn()
    for room in windows:
        made, turn = visits(shares, left, room, turn)
        for tenant in order(made):
            left[tenant] -= 1
            served.append(tenant)

    for name in (name for name in weight if left[name] > 0):  # it waited all the time
        gaps = "".join("x" if each == name else "." for each in served).split("x")
        assert max(map(len, gaps)) <= sum(weight.values()) - weight[name]


@given(weights, rooms)
def test_shares_follow_the_weights(weight: dict[TenantId, int], windows: list[int]) -> None:
    shares = [Share(name, each) for name, each in weight.items()]
    had, turn = dict.fromkeys(weight, 0), Turn()
    for room in windows:
        made, turn = visits(shares, dict.fromkeys(weight, ENDLESS), room, turn)
        for tenant, jobs in wanted(made).items():
            had[tenant] += jobs

    rounds = [had[name] / weight[name] for name in weight]
    assert sum(had.values()) == sum(windows)
    assert max(rounds) - min(rounds) <= 1


@given(
    st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(1, 9), st.integers(-1, 9))),
    st.integers(0, 20),
    st.integers(0, 60),
)
def test_caps_hold_and_no_room_is_wasted(
    caps: dict[TenantId, tuple[int, int]], queue: int, room: int
) -> None:
    shares = [Share(name, weight, cap) for name, (weight, cap) in caps.items()]

    made, _ = visits(shares, dict.fromkeys(caps, queue), room, Turn())

    had = wanted(made)
    most = {name: min(queue, max(0, cap)) for name, (_, cap) in caps.items()}
    assert all(had.get(name, 0) <= most[name] for name in caps)
    assert sum(had.values()) == min(room, sum(most.values()))
