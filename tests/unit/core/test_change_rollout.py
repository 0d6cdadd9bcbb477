"""A rollout is changed by who has read it, in words that the audit keeps, and only to what can work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import TenantId
from headrace.core.errors import PathMissing, RolloutFixed, RolloutMoved, RolloutUnsaid
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.store import Store
from headrace.core.rollout import Basis, Fixed, Rollout
from headrace.core.usecases.rollout import Wish, change_rollout, roll_back
from headrace.testkit.builders import LONG_AGO

US = TenantId("us")
BASIS = Basis()


@pytest.fixture(autouse=True)
async def _attended(store: Store) -> None:
    async with store.begin() as tx:
        await tx.attend(DISTRIBUTED, until=await tx.now() + timedelta(minutes=1))


async def change(
    store: Store, *, basis: Basis = BASIS, lacks: str | None = None, **wish: Any
) -> Rollout:
    async with store.begin() as tx:
        return await change_rollout(tx, Wish(**wish), basis=basis, who="ann", lacks=lacks)


async def back(store: Store, basis: Basis = BASIS) -> Rollout:
    async with store.begin() as tx:
        return await roll_back(tx, basis=basis, who="ann")


async def deeds(store: Store) -> list[tuple[str, str, dict[str, Any]]]:
    async with store.begin() as tx:
        found = await tx.audited(before=None, limit=10)
    return [(each.deed.who, each.deed.action, dict(each.deed.detail)) for each in found]


async def test_what_is_left_out_stays(store: Store) -> None:
    await change(store, internal=(US,), guard={"at_least": 5})
    found = await change(store, percent=10.0, guard={"window_s": 60.0})

    assert (found.version, found.internal, found.percent) == (2, (US,), 10)
    assert (found.guard.at_least, found.guard.window_s) == (5, 60)
    assert found.changed_at is not None


async def test_each_change_is_audited_with_what_was_and_what_is(store: Store) -> None:
    await change(store, internal=(US,))
    await change(store, percent=10.0, kinds={"image": LOCAL})

    assert await deeds(store) == [
        ("ann", "rollout.change", {"percent": "0 -> 10", "kinds": "none -> image=local"}),
        ("ann", "rollout.change", {"internal": "nobody -> us"}),
    ]


async def test_the_first_change_begins_with_what_the_mode_says(store: Store) -> None:
    found = await change(store, basis=Basis(default=DISTRIBUTED), internal=(US,))

    assert (found.percent, found.internal) == (100, (US,))


async def test_where_both_sides_stand_the_first_change_says_a_percent(store: Store) -> None:
    async with store.begin() as tx:
        await tx.attend(LOCAL, until=await tx.now() + timedelta(minutes=1))

    with pytest.raises(RolloutUnsaid):
        await change(store, basis=Basis(default=DISTRIBUTED), internal=(US,))

    await change(store, basis=Basis(default=DISTRIBUTED), percent=0.0)
    assert (await change(store, internal=(US,))).percent == 0


async def test_who_has_read_an_older_version_is_refused(store: Store) -> None:
    await change(store, percent=1.0)

    with pytest.raises(RolloutMoved) as refused:
        await change(store, percent=50.0, expect_version=0)

    assert refused.value.version == 1
    assert (await change(store, percent=50.0, expect_version=1)).percent == 50


async def test_asking_for_what_is_there_changes_nothing(store: Store) -> None:
    await change(store, percent=1.0)

    again = await change(store, percent=1.0)

    assert again.version == 1
    assert len(await deeds(store)) == 1


async def test_what_the_environment_fixes_is_refused_by_the_variable_s_name(store: Store) -> None:
    fixed = Basis(fixed=Fixed(percent=5.0))

    with pytest.raises(RolloutFixed, match="ROLLOUT_PERCENT fixes this"):
        await change(store, basis=fixed, percent=10.0)
    with pytest.raises(RolloutFixed):
        await back(store, fixed)

    assert (await change(store, basis=fixed, internal=(US,))).percent == 5


MORE = [
    {"percent": 1.0},
    {"internal": (US,)},
    {"kinds": {"text": DISTRIBUTED}},
    {"shadow_percent": 1.0},
]


@pytest.mark.parametrize("wish", MORE)
async def test_more_is_refused_where_something_is_lacking(
    store: Store, wish: dict[str, Any]
) -> None:
    with pytest.raises(PathMissing, match="REDIS_URL"):
        await change(store, lacks="without REDIS_URL it cannot work", **wish)


@pytest.mark.parametrize("wish", MORE)
async def test_more_is_refused_where_no_dispatcher_attends(
    store: Store, wish: dict[str, Any]
) -> None:
    await gone(store)

    with pytest.raises(PathMissing, match="no dispatcher attends"):
        await change(store, **wish)


async def test_less_is_granted_although_nobody_attends(store: Store) -> None:
    await change(store, percent=50.0, internal=(US,), shadow_percent=5.0)
    await gone(store)

    less = await change(store, percent=10.0, internal=(), shadow_percent=0.0)
    none = await back(store)

    assert less.percent == 10
    assert not none.moves


async def test_back_is_one_change_for_all(store: Store) -> None:
    kinds = {"text": DISTRIBUTED, "image": LOCAL}
    await change(store, percent=50.0, internal=(US,), kinds=kinds, shadow_percent=5.0)

    found = await back(store)

    assert (found.version, found.percent, found.internal) == (2, 0, ())
    assert found.kinds == {"image": LOCAL}
    assert found.shadow_percent == 0
    (who, action, detail), *_ = await deeds(store)
    assert (who, action) == ("ann", "rollout.rollback")
    assert detail["internal"] == "us -> nobody", "so that it can be put back"


async def gone(store: Store) -> None:
    """Nobody attends any more: as if two leases had passed."""
    assert isinstance(store, SqlStore)
    async with store.engine.begin() as connection:
        await connection.execute(
            text("UPDATE paths SET attended_until = :then"), {"then": LONG_AGO.isoformat()}
        )
