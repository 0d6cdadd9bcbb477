"""Who takes the new path: pins, then internal tenants, then a percent of tenants that only grows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import JobId, TenantId
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.rollout import Basis, Fixed, Rollout, rolled_back, share_of

SHARES = {"acme": 99.500406, "local": 80.748744, "zürich": 95.544045}  # SHA-256's
TENANTS = [TenantId(f"tenant-{number}") for number in range(10_000)]
names = st.text(min_size=1, max_size=64).map(TenantId)
percents = st.floats(0, 100)


@given(names, percents, percents)
def test_who_is_in_at_a_percent_is_in_at_every_higher_one(
    tenant: TenantId, one: float, two: float
) -> None:
    low, high = sorted((one, two))

    if Rollout(percent=low).path(tenant, "text") == DISTRIBUTED:
        assert Rollout(percent=high).path(tenant, "text") == DISTRIBUTED


@given(names)
def test_at_nothing_nobody_is_in_and_at_a_hundred_everybody(tenant: TenantId) -> None:
    assert Rollout(percent=0).path(tenant, "text") == LOCAL
    assert Rollout(percent=100).path(tenant, "text") == DISTRIBUTED


@given(st.integers(1, 99))
def test_of_many_tenants_about_the_percent_is_in(percent: int) -> None:
    inside = sum(Rollout(percent=percent).path(each, "text") == DISTRIBUTED for each in TENANTS)

    assert abs(inside / 100 - percent) < 2.5  # five standard deviations of 10,000 throws


def test_a_tenant_stands_where_it_stood_in_every_build() -> None:
    shares = {name: round(share_of(TenantId(name)), 6) for name in ("acme", "local", "zürich")}

    assert shares == SHARES


def test_the_smallest_percent_is_not_rounded_away() -> None:
    inside = [each for each in TENANTS if Rollout(percent=0.1).path(each, "text") == DISTRIBUTED]

    assert 1 <= len(inside) <= 30


@given(names, percents, st.sampled_from([LOCAL, DISTRIBUTED]))
def test_a_pinned_kind_goes_its_way_whosever_it_is(
    tenant: TenantId, percent: float, path: str
) -> None:
    rollout = Rollout(percent=percent, internal=(tenant,), kinds={"image": path})

    assert rollout.path(tenant, "image") == path
    assert rollout.path(tenant, "text") == DISTRIBUTED


def test_an_internal_tenant_is_in_at_nothing_and_others_are_not() -> None:
    rollout = Rollout(internal=(TenantId("us"),))

    assert rollout.path(TenantId("us"), "text") == DISTRIBUTED
    assert rollout.path(TenantId("them"), "text") == LOCAL


@given(names, percents, st.sampled_from([LOCAL, DISTRIBUTED]))
def test_rolled_back_nobody_is_in(tenant: TenantId, percent: float, path: str) -> None:
    rollout = Rollout(version=7, percent=percent, internal=(tenant,), kinds={"image": path})

    back = rolled_back(rollout)

    assert not back.moves
    assert {back.path(tenant, kind) for kind in ("text", "image")} == {LOCAL}


def test_stages_have_names() -> None:
    kinds = {"text": DISTRIBUTED}
    stages = [
        Rollout(kinds={"text": LOCAL}),
        Rollout(kinds=kinds),
        Rollout(kinds=kinds, internal=(TenantId("us"),)),
        Rollout(internal=(TenantId("us"),), percent=0.5),
        Rollout(percent=100),
    ]

    assert [each.stage for each in stages] == ["off", "kinds", "internal", "0.5 %", "all"]


def test_the_mode_decides_until_something_is_stored() -> None:
    assert Basis(default=LOCAL).of(None).percent == 0
    assert Basis(default=DISTRIBUTED).of(None).percent == 100
    assert Basis(default=DISTRIBUTED).of(Rollout(version=1, percent=10)).percent == 10


def test_what_the_environment_fixes_holds_over_what_is_stored() -> None:
    basis = Basis(fixed=Fixed(percent=0.0, internal=(TenantId("us"),)))
    stored = Rollout(version=3, percent=50, kinds={"text": LOCAL})

    assert basis.of(stored) == replace(stored, percent=0.0, internal=(TenantId("us"),))
    assert basis.fixed_by == ["ROLLOUT_INTERNAL", "ROLLOUT_PERCENT"]


def test_a_shadow_is_drawn_by_the_job_and_as_often_as_asked() -> None:
    jobs = [JobId(f"job-{number}") for number in range(10_000)]
    drawn = [each for each in jobs if Rollout(shadow_percent=5).shadows(each)]

    assert 400 < len(drawn) < 600
    assert all(Rollout(shadow_percent=20).shadows(each) for each in drawn)
