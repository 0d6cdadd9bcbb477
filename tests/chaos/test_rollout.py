"""A team rolls out from one path to the other under load, and back: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.testkit.chaos.rig import House
from headrace.testkit.chaos.rollout import ADMIN, REPLICAS, Asked, Team, roll, table, team
from headrace.testkit.chaos.settings import SLOW_S
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(540)]
EFFECT_WITHIN_S = 1.0


async def test_through_all_stages_and_back_nothing_is_lost_or_doubled(
    house: House, tmp_path: Path
) -> None:
    async with team(house, tmp_path, tenants=30, per_s=4.0) as here:
        stages = await roll(here, jobs=30)
        print(table(stages))

        await here.see_ends()
        judgement = await here.here.judged()

    assert judgement.broken == []
    assert judgement.counts["accepted"] == judgement.counts["succeeded"] == 7 * 32
    assert judgement.counts["run again"] == 0
    assert {stage.name: stage.astray for stage in stages} == {stage.name: [] for stage in stages}
    effects = sorted(stage.effect_s for stage in stages)
    # Until the last api has told the store: a busy machine may tell late. What holds is the next test.
    assert effects[len(effects) // 2] < EFFECT_WITHIN_S
    new = {
        stage.name: (told.jobs if (told := stage.paths.get(DISTRIBUTED)) else 0) for stage in stages
    }
    assert new["0 %"] == new["back"] == 0
    assert 1 <= new["internal"] <= new["1 %"] < new["10 %"] < new["50 %"] < new["100 %"] == 32


async def asked_at_each_api(here: Team) -> list[Asked]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(here.submit()) for _ in here.doors]
    return [each.result() for each in asked]


async def test_a_second_after_a_change_every_api_goes_by_it_one_that_was_stopped_too(
    house: House, tmp_path: Path
) -> None:
    stopped, asked = "all@2", []
    async with team(house, tmp_path, tenants=REPLICAS, per_s=4.0) as here:
        for percent in (100, 0, 100, 0):
            here.here.pause(stopped)
            await here.put({"percent": percent})
            await passed(EFFECT_WITHIN_S)
            here.here.resume(stopped)
            asked += await asked_at_each_api(here)
        await here.here.drained()
        await here.see_ends()
        judgement = await here.here.judged()
        paths = {row["id"]: row["path"] for row in await here.facts(asked)}

    assert [paths[each.job] for each in asked] == [each.expected for each in asked]
    assert [each.expected for each in asked[:: len(here.doors)]] == [DISTRIBUTED, LOCAL] * 2
    assert judgement.broken == []


async def passed(seconds: float) -> None:
    over = monotonic() + seconds
    await eventually(lambda: monotonic() >= over)


async def tripped(here: Team) -> dict[str, Any] | None:
    found = await here.show()
    return found if found["tripped"] else None


async def test_a_slow_worker_on_the_new_path_trips_the_guard_by_itself(
    house: House, tmp_path: Path
) -> None:
    async with team(house, tmp_path, tenants=20, per_s=6.0) as here:
        await here.here.replace("gpu-worker", **{SLOW_S: "2"})
        guard = {"at_least": 10, "window_s": 60}
        await here.change({"percent": 50, "guard": guard})
        await here.work(60)

        found = await eventually(lambda: tripped(here), within=60, every=0.2)
        assert found is not None
        here.note(found)
        shown = await here.command("show")
        after = await here.work(10)

        await here.here.drained()
        await here.see_ends()
        judgement = await here.here.judged()
        facts = await here.facts(after)
        audit = (await here.doors[0].get("/admin/audit", headers=ADMIN)).json()["audit"]

    assert (found["percent"], found["stage"], found["tripped"]["percent"]) == (0, "off", 50)
    print(shown)
    assert "longer: half of" in found["tripped"]["why"]
    assert [each["who"] for each in audit if each["action"] == "rollout.rollback"] == ["guard"]
    assert {row["path"] for row in facts} == {LOCAL}
    assert judgement.broken == []
    assert judgement.counts["accepted"] == judgement.counts["succeeded"] == 70


async def compared(here: Team, count: int) -> dict[str, Any]:
    shadows: dict[str, Any] = (await here.show())["shadows"]
    assert shadows["compared"] == count, shadows
    return shadows


async def test_shadows_run_on_the_other_path_and_are_compared(house: House, tmp_path: Path) -> None:
    async with team(house, tmp_path, tenants=4, per_s=6.0) as here:
        await here.change({"percent": 0, "shadow_percent": 100})
        plain = await here.work(4, plain=True)
        other = await here.work(4)

        shadows = await eventually(lambda: compared(here, 8), within=60, every=0.2)

        effects = await here.here.effects()
        facts = await here.facts([*plain, *other])
        said = await here.command("percent", "10")
        shown = await here.command("show")
        await here.command("rollback")
        await here.here.drained()

    assert (shadows["same"], shadows["different"]) == (4, 4)
    told = {each["job"]: each for each in shadows["latest"]}
    assert {told[each.job]["same"] for each in plain} == {True}
    for each in other:
        (differs,) = told[each.job]["diff"]["output"]
        assert differs.startswith("/run: differs from character")
        assert set(told[each.job]["diff"]) == {"output", "wait_s", "run_s"}
    assert {row.id for row in effects.jobs} == {each.job for each in [*plain, *other]}
    assert effects.outbox == 0
    assert "Applied by 3 api processes after" in said
    assert "shadows: 8 compared, 4 different" in shown
    print(said, shown, sep="\n")
    assert {(row["path"], row["state"]) for row in facts} == {(LOCAL, "succeeded")}
