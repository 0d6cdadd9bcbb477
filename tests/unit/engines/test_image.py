"""The image engine draws what a prompt says, the same for the same seed, and stops when told."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headrace.contracts.frames import Log, Preview, Progress
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.image.engine import EmojiFlowEngine
from headrace.testkit.work import RecordedWork, sent, work_for

FEW = 8  # steps: enough to see what is drawn


@pytest.fixture(scope="module")
def engine() -> EmojiFlowEngine:
    loaded = EmojiFlowEngine()
    loaded.load("emoji-flow")
    return loaded


def drawn(engine: EmojiFlowEngine, prompt: str, **rest: object) -> NDArray[np.uint8]:
    return opened(
        picture(
            engine, work_for(EmojiFlowEngine, {"prompt": prompt, "steps": FEW, "seed": 1, **rest})
        )
    )


def picture(engine: EmojiFlowEngine, work: RecordedWork) -> bytes:
    output = sent(engine.run(work))
    data, media_type = work.blobs[output["image"]["blob"]]
    assert media_type == "image/png"
    return data


def opened(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def edge_colour(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean colour of the frame of four pixels, where the background shows."""
    inner = np.zeros(image.shape[:2], bool)
    inner[4:-4, 4:-4] = True
    mean: NDArray[np.float64] = image[~inner].mean(0)
    return mean


def colourful_mean(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean colour of what is neither white nor grey: the subject on a plain picture."""
    spread = image.max(2).astype(int) - image.min(2)
    mean: NDArray[np.float64] = image[spread > 40].mean(0)  # noqa: RUF100
    return mean


def test_the_same_seed_draws_the_same_bytes(engine: EmojiFlowEngine) -> None:
    given = {"prompt": "a cat", "steps": FEW, "seed": 7}

    once = picture(engine, work_for(EmojiFlowEngine, given))
    again = picture(engine, work_for(EmojiFlowEngine, given))

    assert once == again


def test_another_seed_draws_another_picture(engine: EmojiFlowEngine) -> None:
    assert (drawn(engine, "a cat", seed=1) != drawn(engine, "a cat", seed=2)).any()


def test_another_prompt_draws_another_picture(engine: EmojiFlowEngine) -> None:
    difference = drawn(engine, "a cat").astype(int) - drawn(engine, "a rocket")

    assert np.abs(difference).mean() > 10


@pytest.mark.parametrize("subject", ["owl", "birthday cake", "car"])
def test_the_named_background_is_drawn(engine: EmojiFlowEngine, subject: str) -> None:
    red = edge_colour(drawn(engine, f"{subject} on a red background"))
    blue = edge_colour(drawn(engine, f"{subject} on a blue background"))

    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60


@pytest.mark.parametrize("subject", ["car", "cat", "elephant"])
def test_the_named_colour_is_drawn(engine: EmojiFlowEngine, subject: str) -> None:
    green = colourful_mean(drawn(engine, f"green {subject}"))
    pink = colourful_mean(drawn(engine, f"pink {subject}"))

    assert green.argmax() == 1
    assert pink.argmax() == 0


def test_two_subjects_stand_side_by_side(engine: EmojiFlowEngine) -> None:
    image = drawn(engine, "red heart and green heart").astype(int)
    left, right = image[:, :32], image[:, 32:]

    assert left[..., 0].mean() > left[..., 1].mean() + 10
    assert right[..., 1].mean() > right[..., 0].mean() + 10


def test_a_larger_size_is_the_same_picture_enlarged(engine: EmojiFlowEngine) -> None:
    native, large = drawn(engine, "a cat"), drawn(engine, "a cat", size=256)

    assert native.shape == (64, 64, 3)
    assert large.shape == (256, 256, 3)
    small = np.asarray(Image.fromarray(large).resize((64, 64), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - native).mean() < 4


def test_steps_are_told_and_some_are_shown(engine: EmojiFlowEngine) -> None:
    work = work_for(EmojiFlowEngine, {"prompt": "a cat", "steps": 30, "seed": 1})

    output = engine.run(work)

    assert [told.step for told in work.said(Progress)] == list(range(31))
    assert work.said(Progress)[-1].fraction == 1
    assert [shown.step for shown in work.said(Preview)] == [1, *range(3, 30, 3)]
    assert all(len(preview) < 36_000 for preview in work.previews)
    assert output["known_words"] == ["cat"]
    assert work.said(Log) == []


def test_a_picture_is_drawn_even_where_no_word_is_known(engine: EmojiFlowEngine) -> None:
    work = work_for(EmojiFlowEngine, {"prompt": "qwertyuiop", "steps": 2, "seed": 1})

    output = engine.run(work)

    assert "no word of this prompt" in work.said(Log)[0].line
    assert output["known_words"] == []
    assert len(work.blobs) == 1


def test_a_seed_is_chosen_and_reported_where_none_is_given(engine: EmojiFlowEngine) -> None:
    work = work_for(EmojiFlowEngine, {"prompt": "a cat", "steps": 2})
    seed = engine.run(work)["seed"]

    again = work_for(EmojiFlowEngine, {"prompt": "a cat", "steps": 2, "seed": seed})

    assert engine.run(again)["seed"] == seed
    assert list(work.blobs.values()) == list(again.blobs.values())


def test_it_stops_between_two_steps(engine: EmojiFlowEngine) -> None:
    work = work_for(EmojiFlowEngine, {"prompt": "a cat", "steps": 100, "seed": 1}, stop_after=5)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.frames) == 5
    assert work.blobs == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "a cat", "steps": 0}, "steps"),
        ({"prompt": "a cat", "steps": 101}, "steps"),
        ({"prompt": "a cat", "guidance": 11}, "guidance"),
        ({"prompt": "a cat", "guidance": float("nan")}, "guidance"),
        ({"prompt": "a cat", "seed": -1}, "seed"),
        ({"prompt": "a cat", "size": 100}, "size"),
        ({"prompt": "a cat", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_input_is_refused_by_its_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        work_for(EmojiFlowEngine, given)

    assert refused.value.field == field


@pytest.mark.parametrize("prompt", ["  \n", "a\0cat"])
def test_a_prompt_of_nothing_is_refused(engine: EmojiFlowEngine, prompt: str) -> None:
    with pytest.raises(BadInput, match="prompt"):
        engine.run(work_for(EmojiFlowEngine, {"prompt": prompt}))


def test_its_input_is_described_in_json_schema() -> None:
    schema = msgspec.json.schema(EmojiFlowEngine.Input)

    assert "prompt" in str(schema)
