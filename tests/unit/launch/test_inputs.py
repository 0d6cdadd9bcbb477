"""Words on a command line become the types that the model's schema asks for."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import Lane
from headrace.engines.echo.engine import EchoEngine
from headrace.engines.embedding.minilm import MiniLmEngine
from headrace.engines.image.engine import EmojiFlowEngine
from headrace.engines.registry import card, input_schema
from headrace.engines.text.smollm2 import SmolLm2Engine
from headrace.engines.upscale.realesrgan import RealEsrganEngine
from headrace.launch.errors import Misused
from headrace.launch.inputs import build_input, pick_model, picture_name
from headrace.launch.models import read_metrics, read_weights

TEXT = input_schema(SmolLm2Engine)
IMAGE = input_schema(EmojiFlowEngine)


def catalog() -> list[dict[str, Any]]:
    cards = [card(Lane("smollm2"), SmolLm2Engine), card(Lane("realesrgan"), RealEsrganEngine)]
    return [{"kind": each.kind, "model": model} for each in cards for model in each.models]


@pytest.mark.parametrize(
    ("given", "built"),
    [
        ("max_tokens=20", {"max_tokens": 20}),
        ("temperature=1", {"temperature": 1}),
        ("temperature=0.5", {"temperature": 0.5}),
        ("seed=null", {"seed": None}),
        ("system=5", {"system": "5"}),
        ("system=a=b", {"system": "a=b"}),
        ("stop=end", {"stop": ["end"]}),
        ('stop=["a","b"]', {"stop": ["a", "b"]}),
    ],
)
def test_a_value_gets_the_type_of_its_schema(given: str, built: dict[str, Any]) -> None:
    assert build_input(TEXT, prompt=None, given=[given]) == built


def test_a_choice_may_be_a_number_or_a_word() -> None:
    assert build_input(IMAGE, prompt=None, given=["size=256"]) == {"size": 256}
    assert build_input(IMAGE, prompt=None, given=["size=native"]) == {"size": "native"}


def test_a_key_that_comes_twice_makes_a_list() -> None:
    assert build_input(TEXT, prompt=None, given=["stop=a", "stop=b"]) == {"stop": ["a", "b"]}


@pytest.mark.parametrize(
    ("engine", "built"),
    [
        (SmolLm2Engine, {"prompt": "hi"}),
        (EchoEngine, {"text": "hi"}),
        (MiniLmEngine, {"texts": ["hi"]}),
    ],
)
def test_the_prompt_goes_where_the_model_takes_it(engine: Any, built: dict[str, Any]) -> None:
    assert build_input(input_schema(engine), prompt="hi", given=[]) == built


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("max_tokens=many", "should be a whole number"),
        ("temperature=hot", "should be a number"),
        ("colour=red", "the inputs are prompt, .*, messages"),
        ("max_tokens", "write key=value"),
    ],
)
def test_what_does_not_fit_is_refused_in_plain_words(given: str, why: str) -> None:
    with pytest.raises(Misused, match=why):
        build_input(TEXT, prompt=None, given=[given])


def test_a_picture_goes_where_the_model_takes_one() -> None:
    assert picture_name(input_schema(RealEsrganEngine)) == "image"
    with pytest.raises(Misused, match="takes no picture"):
        picture_name(TEXT)


def test_a_kind_without_a_model_means_its_first() -> None:
    assert pick_model(catalog(), "upscale", None)["model"] == RealEsrganEngine.models[0]
    assert pick_model(catalog(), "upscale", RealEsrganEngine.models[1])["model"].endswith("x4")


@pytest.mark.parametrize(
    ("kind", "model", "why"),
    [
        ("video", None, "Known kinds: text, upscale"),
        ("text", "gpt", "Known: smollm2-135m-instruct"),
    ],
)
def test_what_nobody_runs_is_refused_with_what_is_known(
    kind: str, model: str | None, why: str
) -> None:
    with pytest.raises(Misused, match=why):
        pick_model(catalog(), kind, model)


def test_an_empty_catalog_says_to_wait() -> None:
    with pytest.raises(Misused, match="still be loading"):
        pick_model([], "text", None)


def test_weights_and_metrics_are_read_as_they_are_written() -> None:
    assert read_weights("3=90, 4=10") == {"3": 90.0, "4": 10.0}
    assert read_metrics(["accuracy=0.97", "loss=1e-3"]) == {"accuracy": 0.97, "loss": 0.001}
    for text in ("3", "3=much"):
        with pytest.raises(Misused):
            read_weights(text)


def test_any_version_of_a_registered_model_can_be_named() -> None:
    digits = {"kind": "inference", "model": "digits", "registered": True}

    assert pick_model([digits], "inference", "digits@3")["model"] == "digits@3"
    with pytest.raises(Misused):
        pick_model([{**digits, "registered": False}], "inference", "digits@3")
