"""The reader of pictures names what the model draws, says so while it reads, and refuses what is no picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.contracts.frames import Progress
from headrace.engines.caption.engine import EmojiReaderEngine, caption, on_white
from headrace.engines.caption.reader import Reading
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.image.engine import EmojiFlowEngine
from headrace.engines.registry import missing
from headrace.testkit.work import RecordedWork, work_for

GIVEN = {"image": {"blob": "given"}}


@pytest.fixture(scope="module")
def engine() -> EmojiReaderEngine:
    assert missing(EmojiReaderEngine) == []
    loaded = EmojiReaderEngine()
    loaded.load("emoji-flow-reader")
    return loaded


@pytest.fixture(scope="module")
def cat() -> bytes:
    """Drawn, and twice as large as the model has its pictures."""
    work = work_for(EmojiFlowEngine, {"prompt": "a cat", "steps": 12, "seed": 7, "size": 128})
    output = EmojiFlowEngine().run(work)
    return work.blobs[output["image"]["blob"]][0]


def asked(data: bytes, *, stop_after: int | None = None) -> RecordedWork:
    return work_for(EmojiReaderEngine, GIVEN, stop_after=stop_after, inputs={"given": data})


def test_it_names_what_is_drawn_and_says_how_far_it_is(
    engine: EmojiReaderEngine, cat: bytes
) -> None:
    work = asked(cat)

    output = engine.run(work)

    assert output["subjects"][0]["subject"] in {"cat", "cat face"}
    assert "cat" in output["caption"]
    assert (output["width"], output["height"]) == (128, 128)
    misses = [each["miss"] for each in output["subjects"]]
    assert misses == sorted(misses)
    fractions = [frame.fraction for frame in work.frames if isinstance(frame, Progress)]
    assert fractions == sorted(fractions, key=lambda each: each or 0.0)
    assert len(fractions) > 10


def test_it_stops_when_the_job_is_cancelled(engine: EmojiReaderEngine, cat: bytes) -> None:
    with pytest.raises(Stopped):
        engine.run(asked(cat, stop_after=3))


def test_what_is_no_picture_is_refused(engine: EmojiReaderEngine) -> None:
    with pytest.raises(BadInput, match="image: is no picture"):
        engine.run(asked(b"no picture"))


def test_a_clear_ground_is_white_whatever_lies_under_it() -> None:
    picture: NDArray[np.uint8] = np.zeros((1, 3, 4), np.uint8)
    picture[0, 1:] = [[200, 100, 0, 255], [200, 100, 0, 128]]

    seen = on_white(picture)

    assert seen[0].tolist() == [[255, 255, 255], [200, 100, 0], [227, 177, 127]]


@pytest.mark.parametrize(
    ("best", "second", "said"),
    [
        (Reading("cat", None, None, 0.1), Reading("dog", None, None, 0.2), "cat"),
        (Reading("cat", "red", None, 0.1), Reading("cat", None, None, 0.101), "red cat"),
        (
            Reading("cat", None, "night", 0.1),
            Reading("dog", None, None, 0.101),
            "cat, or perhaps dog, at night",
        ),
        (
            Reading("cat", "red", "blue", 0.1),
            Reading("dog", None, None, 0.2),
            "red cat, on a blue background",
        ),
    ],
    ids=["sure", "colour", "doubt-at-night", "background"],
)
def test_a_caption_says_what_is_sure_and_what_is_not(
    best: Reading, second: Reading, said: str
) -> None:
    assert caption([best, second]) == said
