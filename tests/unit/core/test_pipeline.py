"""A pipeline that cannot work is refused before anybody runs it, and the stage is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadPipeline, InvalidInput
from headrace.core.illustrate import ILLUSTRATE
from headrace.core.pipeline import (
    Fixed,
    Given,
    Item,
    Many,
    Of,
    Pipeline,
    Plain,
    Stage,
    check_given,
    check_pipeline,
)
from headrace.core.ports.store import Store
from headrace.core.usecases import pipeline_fit

TEXTS = {"texts": Many(Plain.TEXT), "title": Plain.TEXT}


def a_stage(name: str = "first", **fields: Any) -> Stage:
    usual: dict[str, Any] = {"kind": "echo", "input": {}, "gives": {"text": Plain.TEXT}}
    return Stage(**{"name": name, **usual, **fields})


def a_pipeline(*stages: Stage, **fields: Any) -> Pipeline:
    usual: dict[str, Any] = {"name": "test", "title": "", "takes": TEXTS}
    return Pipeline(**{**usual, "stages": stages, **fields})


def a_card(**fields: Any) -> EngineCard:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "times": {"type": "integer"},
            "image": {"$ref": "#/$defs/Blob"},
        },
        "$defs": {"Blob": {"type": "object", "properties": {"blob": {"type": "string"}}}},
        "additionalProperties": False,
    }
    usual: dict[str, Any] = {"lane": Lane("echo"), "kind": "echo", "models": ["small", "large"]}
    return EngineCard(**{**usual, "input_schema": schema, **fields})


async def settled(store: Store, pipeline: Pipeline, *cards: EngineCard) -> tuple[Stage, ...]:
    async with store.begin() as tx:
        return await pipeline_fit.settled(tx, TenantId("tenant"), pipeline, cards)


def test_the_pipeline_that_ships_is_sound() -> None:
    check_pipeline(ILLUSTRATE)


@pytest.mark.parametrize(
    ("stages", "stage", "why"),
    [
        ([a_stage(input={"text": Of("gone", "text")})], "first", "gone, which is no stage: first"),
        ([a_stage(input={"text": Of("first", "text")})], "first", "waits for itself"),
        ([a_stage(input={"text": Given("gone")})], "first", "gone, which no run is given"),
        ([a_stage(), a_stage()], "first", "there twice"),
        ([a_stage("Über")], "Über", "its name"),
        ([a_stage(tries=0)], "first", "tries"),
        ([a_stage(timeout_s=0.0)], "first", "timeout_s"),
        ([a_stage(input={"text": Item()})], "first", "fans out over nothing"),
        ([a_stage(each=Given("title"))], "first", "over text, which is no list"),
        (
            [a_stage(), a_stage("next", input={"text": Of("first", "image")})],
            "next",
            "image of first, which gives text",
        ),
    ],
    ids=[
        "unknown-stage",
        "itself",
        "unknown-input",
        "twice",
        "name",
        "no-try",
        "no-time",
        "item-of-nothing",
        "no-list",
        "unknown-field",
    ],
)
def test_what_cannot_work_is_refused_and_the_stage_is_named(
    stages: list[Stage], stage: str, why: str
) -> None:
    with pytest.raises(BadPipeline) as refused:
        check_pipeline(a_pipeline(*stages))

    assert refused.value.stage == stage
    assert why in refused.value.why


def test_a_ring_is_told_from_stage_to_stage() -> None:
    ring = a_pipeline(
        a_stage("before"),
        a_stage("a", input={"text": Of("c", "text")}),
        a_stage("b", input={"text": Of("a", "text")}),
        a_stage("c", input={"text": Of("b", "text")}),
    )

    with pytest.raises(BadPipeline, match="a -> c -> b -> a"):
        check_pipeline(ring)


async def test_stages_get_the_model_and_lane_of_the_engine_that_serves_them(store: Store) -> None:
    pipeline = a_pipeline(a_stage(), a_stage("large", model="large"))

    first, large = await settled(store, pipeline, a_card())

    assert (first.model, first.lane) == ("small", "echo")
    assert (large.model, large.lane) == ("large", "echo")


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        (a_stage(kind="video"), "no engine runs kind 'video'; known: echo"),
        (a_stage(model="huge"), "no engine runs model 'huge' of kind 'echo'; known: large, small"),
        (a_stage(lane="other"), "no lane 'other' runs it; known: echo"),
        (a_stage(input={"words": Fixed("x")}), "its engine takes text, times, image, no words"),
        (a_stage(input={"text": Given("texts")}), "should be text, and is given a list of text"),
        (a_stage(input={"times": Fixed("three")}), "should be number, and is given text"),
        (a_stage(input={"image": Given("title")}), "should be blob, and is given text"),
    ],
    ids=["kind", "model", "lane", "field", "list", "value", "blob"],
)
async def test_what_does_not_fit_the_engines_is_refused_and_the_stage_is_named(
    store: Store, stage: Stage, why: str
) -> None:
    with pytest.raises(BadPipeline) as refused:
        await settled(store, a_pipeline(stage), a_card())

    assert refused.value.stage == "first"
    assert why in refused.value.why


async def test_a_stage_without_a_model_needs_an_engine_that_has_one_of_its_own(
    store: Store,
) -> None:
    stage = msgspec.structs.replace(a_stage(), model=None)

    with pytest.raises(BadPipeline, match="has no model that is its own: name a registered one"):
        await settled(store, a_pipeline(stage), a_card(models=[]))


async def test_what_an_engine_needs_must_be_given(store: Store) -> None:
    card = a_card(input_schema={"properties": {"text": {"type": "string"}}, "required": ["text"]})
    without = a_pipeline(a_stage(input={"text": Given("title")}), optional=("title",))

    with pytest.raises(BadPipeline, match="its engine needs a text"):
        await settled(store, without, card)


async def test_a_fan_out_gives_others_a_list_and_its_pieces_an_item(store: Store) -> None:
    fan = a_stage("fan", each=Given("texts"), input={"text": Item()})
    join = a_stage("join", input={"text": Of("fan", "text")})

    await settled(store, a_pipeline(fan), a_card())
    with pytest.raises(BadPipeline, match="is given a list of text"):
        await settled(store, a_pipeline(fan, join), a_card())


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"texts": ["a"]}, "/title"),
        ({"texts": ["a"], "title": 7}, "/title"),
        ({"texts": "a", "title": "t"}, "/texts"),
        ({"texts": ["a", 7], "title": "t"}, "/texts"),
        ({"texts": [], "title": "t", "more": 1}, "/more"),
    ],
    ids=["missing", "number", "no-list", "wrong-item", "unknown"],
)
def test_an_input_that_does_not_fit_is_refused_where_it_does_not(
    given: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_given(a_pipeline(a_stage()), given)

    assert refused.value.pointer == pointer
