"""A child that keeps several models loaded: measured, bounded, and let go of in the order of their use."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.contracts.ids import Lane
from headrace.engines.registry import card
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.keeper import Keeper, NotReady
from headrace.gpu_worker.host.shelf import Weights
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.testkit import play
from headrace.testkit.hoard import ENGINE, FORMAT, MIB, HoardEngine

LIMITS = Limits(spawn_s=20)


@asynccontextmanager
async def keeping(
    *, memory_mib: int | None = None, changed: list[None] | None = None, **settings: str
) -> AsyncGenerator[Keeper]:
    lane = LaneOptions(
        card=card(Lane("hoard"), HoardEngine),
        engine=ENGINE,
        memory_mib=memory_mib,
        settings=settings,
    )
    told = [] if changed is None else changed
    keeper = Keeper(lane, LIMITS, lambda: told.append(None))
    try:
        yield keeper
    finally:
        await keeper.close()


async def unheard(_: wire.Said | wire.Checkpointed) -> None:
    pass


async def unshown(_: wire.Made) -> None:
    """It makes nothing that would be shown."""


async def ran(keeper: Keeper, model: str) -> dict[str, object]:
    ended = await keeper.run(lambda run: wire.Run(run, model, 1, {}, {}), unheard, unshown)
    assert ended.output is not None
    return ended.output


def loaded(keeper: Keeper) -> list[str]:
    return [warm.weights.model for warm in keeper.warm]


async def test_several_models_stay_loaded_and_what_each_added_was_measured() -> None:
    changed: list[None] = []
    async with keeping(changed=changed, mib="24", load_s="0.05") as keeper:
        cold = [await keeper.ready(Weights(model)) for model in ("one", "two", "one")]

        assert cold == [True, True, False]
        assert loaded(keeper) == ["two", "one"]
        assert len(changed) == 2
        for warm in keeper.warm:
            assert 20 * MIB < warm.memory_bytes < 40 * MIB
            assert warm.load_s >= 0.05
        assert (await ran(keeper, "one"))["loaded"] == ["one", "two"]


async def test_over_the_lanes_memory_the_least_recently_used_goes_and_the_child_stays() -> None:
    async with keeping(memory_mib=56, mib="24") as keeper:
        for model in ("one", "two", "one", "three", "one"):
            await keeper.ready(Weights(model))
        memory = keeper.memory_bytes
        first = keeper._host
        for model in ("two", "three", "four") * 3:
            await keeper.ready(Weights(model))

        assert loaded(keeper) == ["three", "four"]
        assert set((await ran(keeper, "four"))["loaded"]) == {"three", "four"}  # type: ignore[call-overload]
        assert keeper._host is first
        assert keeper.memory_bytes < memory + 16 * MIB  # what went was given back


async def test_the_memory_of_a_lane_is_that_of_all_its_slots() -> None:
    lane = LaneOptions(card=card(Lane("hoard"), HoardEngine), slots=4, memory_mib=100)

    assert lane.model_bytes == 25 * MIB


async def test_a_load_that_fails_for_memory_evicts_all_others_and_is_tried_once_more() -> None:
    async with keeping(mib="8", room_mib="40") as keeper:
        for model in ("one", "two"):
            await keeper.ready(Weights(model))

        assert await keeper.ready(Weights("huge"))

        assert loaded(keeper) == ["huge"]
        assert (await ran(keeper, "huge"))["loaded"] == ["huge"]


async def test_a_load_that_fails_for_memory_alone_is_a_matter_of_resources() -> None:
    async with keeping(mib="8", room_mib="20") as keeper:
        await keeper.ready(Weights("one"))

        with pytest.raises(NotReady) as failure:
            await keeper.ready(Weights("huge"))

        assert failure.value.error.kind == "resource"
        assert "no room for huge" in failure.value.error.message
        assert await keeper.ready(Weights("one"))
        assert (await ran(keeper, "one"))["loaded"] == ["one"]


async def test_a_model_that_is_larger_than_the_limit_is_refused_and_leaves_the_others() -> None:
    async with keeping(memory_mib=30, mib="12") as keeper:
        await keeper.ready(Weights("one"))
        for _ in range(2):  # the second time it is known before
            with pytest.raises(NotReady, match="does not fit into the 30 MiB") as failure:
                await keeper.ready(Weights("huge"))
            assert failure.value.error.kind == "resource"

        assert not await keeper.ready(Weights("one"))
        assert (await ran(keeper, "one"))["loaded"] == ["one"]


async def test_a_child_that_does_not_let_go_is_started_anew_and_serves_what_was_wanted() -> None:
    async with keeping(memory_mib=30, mib="24") as keeper:
        await keeper.ready(Weights("stubborn"))
        first = keeper._host
        assert first is not None

        await keeper.ready(Weights("one"))

        assert keeper._host is not first
        assert not first.alive
        assert loaded(keeper) == ["one"]
        assert (await ran(keeper, "one"))["loaded"] == ["one"]


async def test_an_artefact_is_loaded_from_its_file_and_another_of_that_name_takes_its_place(
    tmp_path: Path,
) -> None:
    files = {name: tmp_path / name for name in ("aa", "bb")}
    for name, path in files.items():
        path.write_bytes(name.encode() * 1000)
    async with keeping() as keeper:
        for name, path in files.items():
            weights = Weights("digits@1", path, FORMAT, sha256=name)

            assert await keeper.ready(weights)

            assert keeper.has(weights)
            assert (await ran(keeper, "digits@1"))["sha256"] == hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
        assert loaded(keeper) == ["digits@1"]
        assert keeper.latest is None  # its file may be gone when it should be loaded again


async def test_an_artefact_of_a_format_that_the_engine_does_not_load_is_not_given_to_it(
    tmp_path: Path,
) -> None:
    async with keeping() as keeper:
        with pytest.raises(NotReady, match=r"loads no artefacts of format 'pickle' \(raw\)"):
            await keeper.ready(Weights("digits@1", tmp_path, "pickle", sha256="aa"))


async def test_an_engine_that_lets_go_of_nothing_has_the_one_that_it_loaded_last() -> None:
    lane = LaneOptions(
        card=card(Lane("play"), play.PlayEngine), engine=play.ENGINE, memory_mib=1, slots=1
    )
    keeper = Keeper(lane, LIMITS)
    try:
        assert await keeper.ready(Weights("calm"))
        assert await keeper.ready(Weights("other"))
        assert loaded(keeper) == ["other"]
        with pytest.raises(NotReady):
            await keeper.ready(Weights("broken"))
        assert loaded(keeper) == []
        assert keeper.latest is None
    finally:
        await keeper.close()
