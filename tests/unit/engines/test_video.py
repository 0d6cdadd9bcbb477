"""The video engine draws pictures that move: segments that play as they come, then one file of them all."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.contracts.frames import Preview, Progress, Segment
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.video.engine import EmojiMotionEngine
from headrace.testkit.work import RecordedWork, sent, work_for

GIVEN = {"prompt": "a red heart", "steps": 2, "seed": 1, "frames": 10, "fps": 4, "size": 128}


@pytest.fixture(scope="module")
def engine() -> EmojiMotionEngine:
    loaded = EmojiMotionEngine()
    loaded.load("emoji-motion")
    return loaded


def a_work(*, stop_after: int | None = None, **rest: object) -> RecordedWork:
    return work_for(EmojiMotionEngine, {**GIVEN, **rest}, stop_after=stop_after)


def decoded(data: bytes) -> list[NDArray[np.uint8]]:
    with av.open(io.BytesIO(data)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_the_file_has_every_picture_at_its_time(engine: EmojiMotionEngine) -> None:
    work = a_work()

    output = sent(engine.run(work))

    data, media_type = work.blobs[output["video"]["blob"]]
    assert media_type == "video/webm"
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("vp9", 128, 128)
        assert file.duration == 2_500_000  # microseconds: ten pictures, four in a second
        times = [frame.time for frame in file.decode(stream)]
    assert times == [pytest.approx(float(Fraction(n, 4)), abs=0.001) for n in range(10)]
    assert (output["frames"], output["duration_s"]) == (10, 2.5)


def test_segments_come_while_it_draws_and_each_plays_by_itself(engine: EmojiMotionEngine) -> None:
    work = a_work()

    output = sent(engine.run(work))

    told = work.said(Segment)
    assert [each.duration_s for each in told] == [1.0, 1.0, 0.5]
    assert [{"blob": each.blob} for each in told] == output["segments"]
    assert work.frames.index(told[0]) < work.frames.index(Progress(0.5, 5, 10, "drawing"))
    pieces = [decoded(work.blobs[each.blob][0]) for each in told]
    assert [len(each) for each in pieces] == [4, 4, 2]
    whole = decoded(work.blobs[output["video"]["blob"]][0])
    assert np.array_equal(np.concatenate(pieces), np.stack(whole))


def test_what_is_drawn_is_what_is_seen_and_it_moves(engine: EmojiMotionEngine) -> None:
    still, moving = a_work(motion=0, steps=6), a_work(motion=1, steps=6)

    first, *others = decoded(video(engine, still))
    begun, *moved = decoded(video(engine, moving))

    red = first[first.max(2).astype(int) - first.min(2) > 60].mean(0)
    assert red.argmax() == 0
    assert furthest(moved, begun) > 5 * furthest(others, first)


def furthest(pictures: list[NDArray[np.uint8]], first: NDArray[np.uint8]) -> float:
    return float(max(np.abs(each.astype(int) - first).mean() for each in pictures))


def video(engine: EmojiMotionEngine, work: RecordedWork) -> bytes:
    return work.blobs[engine.run(work)["video"]["blob"]][0]


def test_the_same_seed_makes_the_same_video(engine: EmojiMotionEngine) -> None:
    once, again = (decoded(video(engine, a_work())) for _ in range(2))

    assert np.array_equal(np.stack(once), np.stack(again))


def test_every_picture_is_told_and_some_are_shown(engine: EmojiMotionEngine) -> None:
    work = a_work(frames=26, steps=1)

    engine.run(work)

    assert [told.step for told in work.said(Progress)] == list(range(27))
    assert [shown.step for shown in work.said(Preview)] == list(range(1, 27, 3))


def test_it_stops_between_two_pictures_and_leaves_what_it_had(engine: EmojiMotionEngine) -> None:
    work = a_work(frames=240, stop_after=10)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.said(Segment)) == 1
    assert len(work.blobs) == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"frames": 1}, "frames"),
        ({"frames": 241}, "frames"),
        ({"fps": 0}, "fps"),
        ({"fps": 31}, "fps"),
        ({"motion": 1.1}, "motion"),
        ({"size": 100}, "size"),
        ({"prompt": ""}, "prompt"),
    ],
)
def test_a_bad_input_is_refused_by_its_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        a_work(**given)

    assert refused.value.field == field
