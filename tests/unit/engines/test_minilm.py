"""The embedding engine: near in meaning is near in the vector, and a text's vector is its own."""

from __future__ import annotations

import math
from typing import Any

import pytest

from headrace.contracts.frames import Log, Progress
from headrace.engines.embedding.minilm import MiniLmEngine
from headrace.engines.embedding.wordpiece import WordPieces
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.registry import decode_input, missing
from headrace.testkit.work import RecordedWork, sent, work_for


@pytest.fixture(scope="session")
def engine() -> MiniLmEngine:
    assert missing(MiniLmEngine) == []
    loaded = MiniLmEngine()
    loaded.load("all-minilm-l6-v2")
    return loaded


def asked(*texts: str, stop_after: int | None = None) -> RecordedWork:
    return work_for(MiniLmEngine, {"texts": list(texts)}, stop_after=stop_after)


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_near_in_meaning_is_near_in_the_vector(engine: MiniLmEngine) -> None:
    texts = ("a cat", "a feline animal", "a graphics processing unit")

    cat, feline, gpu = sent(engine.run(asked(*texts)))["embeddings"]

    assert likeness(cat, feline) > 0.5
    assert likeness(cat, gpu) < 0.2


def test_vectors_have_length_one_and_384_numbers(engine: MiniLmEngine) -> None:
    output = engine.run(asked("Water turns the wheel."))

    assert output["dimensions"] == len(output["embeddings"][0]) == 384
    assert math.isclose(likeness(*output["embeddings"] * 2), 1.0, abs_tol=1e-4)
    assert output["usage"] == {"prompt_tokens": 7}


def test_a_vector_does_not_depend_on_its_neighbours(engine: MiniLmEngine) -> None:
    alone = engine.run(asked("a cat"))["embeddings"][0]
    among = engine.run(asked("a much longer text about something else", "a cat"))["embeddings"][1]

    assert alone == among


def test_it_says_which_texts_were_too_long(engine: MiniLmEngine) -> None:
    work = asked("short", "long " * 300)

    output = engine.run(work)

    assert output["truncated"] == [1]
    assert output["usage"]["prompt_tokens"] == 3 + 256
    assert work.said(Log) == [Log("Only the first 256 tokens count; longer were the texts [1]")]


def test_it_stops_between_two_texts(engine: MiniLmEngine) -> None:
    work = asked(*["text"] * 64, stop_after=2)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.said(Progress)) == 2


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({}, "texts: is missing"),
        ({"texts": []}, "texts: should have at least 1 item"),
        ({"texts": ["a"] * 65}, "texts: should have at most 64 items"),
        ({"texts": "a"}, "texts: should be a list, not text"),
    ],
)
def test_bad_input_is_refused(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        decode_input(MiniLmEngine, raw)


# The ids below are those of Hugging Face's tokenizers for bert-base-uncased.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello, World!", [101, 7592, 1010, 2088, 999, 102]),
        ("naïve Café", [101, 15743, 7668, 102]),
        ("漢字", [101, 1904, 100, 102]),
        ("a\u200bb\tc\x00d", [101, 11113, 3729, 102]),
        ("x" * 101, [101, 100, 102]),
        ("", [101, 102]),
    ],
)
def test_word_pieces_are_those_the_model_was_trained_on(text: str, ids: list[int]) -> None:
    assert WordPieces().encode(text, 256) == (ids, False)


def test_fewer_dimensions_are_the_first_ones_at_length_one(engine: MiniLmEngine) -> None:
    text = "Water turns the wheel."
    (whole,) = engine.run(asked(text))["embeddings"]

    output = engine.run(work_for(MiniLmEngine, {"texts": [text], "dimensions": 64}))

    (short,) = output["embeddings"]
    length = math.sqrt(likeness(whole[:64], whole[:64]))
    assert output["dimensions"] == len(short) == 64
    assert short == pytest.approx([each / length for each in whole[:64]], abs=2e-6)


def test_a_vector_does_not_depend_on_whose_texts_are_run_with_it(engine: MiniLmEngine) -> None:
    texts = [("a cat", "water turns the wheel"), ("a dog",), ("rockets fly to the moon", "a cat")]
    alone = [engine.run(asked(*each))["embeddings"] for each in texts]

    together = dict(engine.run_many([asked(*each) for each in texts]))

    for number, vectors in enumerate(alone):
        for vector, itself in zip(together[number]["embeddings"], vectors, strict=True):
            assert vector == pytest.approx(itself, abs=2e-6)  # the last digit is rounded


def test_of_several_jobs_the_one_that_is_done_first_is_told_first(engine: MiniLmEngine) -> None:
    long, short = asked(*["a word and another " * 10] * 8), asked("a cat")

    answered = [number for number, _ in engine.run_many([long, short])]

    assert answered == [1, 0]


def test_of_several_jobs_one_that_stops_does_not_stop_the_others(engine: MiniLmEngine) -> None:
    stopped, going = asked(*["a word and another"] * 64, stop_after=1), asked("a cat")

    answered = [number for number, _ in engine.run_many([stopped, going])]

    assert answered == [1]
    assert len(stopped.said(Progress)) == 1
