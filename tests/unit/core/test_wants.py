"""What a job needs of a remote worker is read from what was asked, and compared with what one can do."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import Lane
from headrace.contracts.messages import EngineCard, Skill
from headrace.contracts.remote import is_remote, remote_lane
from headrace.core.wants import (
    ANY_MODEL,
    LONGEST,
    Wants,
    form_wants,
    image_wants,
    lane_for,
    model_for,
    read,
    says_any_of,
    text_wants,
    why_not,
    written,
)

OURS = EngineCard(Lane("emoji"), "image", ["emoji", "emoji-2"], {})


def test_an_image_needs_its_pixels_and_what_else_was_asked() -> None:
    asked = {
        "models": ["b", "a", "b"],
        "nsfw": True,
        "trusted_workers": True,
        "source_image": "x",
        "source_processing": "inpainting",
        "params": {"width": 64, "height": 128, "steps": 51, "loras": [{}], "post_processing": []},
    }

    assert image_wants(asked, unpaid=True) == Wants(
        "image",
        ("a", "b"),
        pixels=8192,
        many_steps=True,
        nsfw=True,
        painting=True,
        lora=True,
        trusted=True,
        quick=True,
        unpaid=True,
    )


def test_an_image_that_says_little_needs_the_usual() -> None:
    assert image_wants({"extra_slow_workers": True}) == Wants("image", pixels=512 * 512)


def test_workers_are_named_to_be_the_only_ones_or_none_of_them() -> None:
    named = {"workers": ["w2", "w1"]}

    assert text_wants(named).only == ("w1", "w2")
    assert text_wants({**named, "worker_blacklist": True}).never == ("w1", "w2")


def test_a_form_is_what_an_interrogation_worker_has_in_place_of_a_model() -> None:
    wants = form_wants({}, "caption")

    assert (wants.kind, wants.models) == ("interrogation", ("caption",))


@pytest.mark.parametrize("wants", [Wants("image"), text_wants({"models": ["é", "a"]})])
def test_what_is_written_is_read_again(wants: Wants) -> None:
    assert read(written(wants)) == wants


def test_the_same_needs_are_written_the_same() -> None:
    one, other = {"models": ["a", "b"]}, {"models": ["b", "a", "a"], "params": {}}

    assert written(image_wants(one)) == written(image_wants(other))


def test_what_names_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="too much"):
        written(Wants("image", tuple(f"model-{n:0100}" for n in range(LONGEST // 100))))


def test_an_engine_of_ours_has_it_where_it_has_one_of_the_models() -> None:
    card, model = lane_for([OURS], Wants("image", ("emoji-2", "other")))

    assert (card, model) == (OURS, "emoji-2")
    assert lane_for([OURS], Wants("image")) == (OURS, "emoji")


@pytest.mark.parametrize(
    "wants",
    [Wants("image", ("other",)), Wants("image", only=("w",)), Wants("text", ("emoji",))],
    ids=["another model", "named workers", "another kind"],
)
def test_else_it_waits_for_remote_workers_alone(wants: Wants) -> None:
    card, model = lane_for([OURS], wants)

    assert card.lane == remote_lane(wants.kind)
    assert is_remote(card.lane)
    assert model == (wants.models[0] if wants.models else ANY_MODEL)


ABLE = Skill(
    "image", ["a"], nsfw=True, max_pixels=64, img2img=True, max_length=10, max_context=10, speed=0.4
)
REASONS: list[tuple[str | None, dict[str, Any]]] = [
    (None, {}),
    ("worker_id", {"only": ("another",)}),
    ("worker_id", {"never": ("me",)}),
    ("models", {"models": ("b",)}),
    ("untrusted", {"trusted": True}),
    ("max_pixels", {"pixels": 65}),
    ("max_length", {"length": 11}),
    ("max_context_length", {"context": 11}),
    ("matching_softprompt", {"softprompt": "a tone"}),
    ("max_frames", {"frames": 2}),
    ("performance", {"fast": True}),
    ("painting", {"painting": True}),
    ("post-processing", {"post_processing": True}),
    ("lora", {"lora": True}),
    ("controlnet", {"controlnet": True}),
]


@pytest.mark.parametrize(("reason", "needs"), REASONS, ids=[str(each) for each in REASONS])
def test_why_a_worker_may_not_have_it(reason: str | None, needs: dict[str, Any]) -> None:
    assert why_not(Wants("image", **{"models": ("a",), **needs}), ABLE, "me") == reason


def test_a_worker_uses_the_first_of_its_models_that_will_do() -> None:
    skill = Skill("image", ["c", "b", "a"])

    assert model_for(Wants("image", ("a", "b")), skill) == "b"
    assert model_for(Wants("image"), skill) == "c"


def test_words_are_found_however_they_are_written() -> None:
    assert says_any_of(["STRASSE"], "in der Straße")
    assert not says_any_of(["", "wolf"], "a fox")
