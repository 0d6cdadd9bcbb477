"""The engine that speaks: sentence by sentence, the same for the same seed, and stopped between two."""

from __future__ import annotations

import io
import itertools
import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.contracts.frames import Progress, Segment
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.registry import missing
from headrace.engines.speech.engine import HibariEngine
from headrace.testkit.work import RecordedWork, sent, work_for

TWO = "The river runs to the mill. The wheel turns, slowly."


@pytest.fixture(scope="module")
def engine() -> HibariEngine:
    assert missing(HibariEngine) == []
    loaded = HibariEngine()
    loaded.load("hibari-heart")
    return loaded


def asked(text: str = TWO, *, stop_after: int | None = None, **given: object) -> RecordedWork:
    return work_for(HibariEngine, {"text": text, "seed": 1, **given}, stop_after=stop_after)


def spoken(engine: HibariEngine, work: RecordedWork) -> NDArray[np.int16]:
    return heard(work, sent(engine.run(work))["audio"]["blob"])


def heard(work: RecordedWork, blob: str) -> NDArray[np.int16]:
    data, media_type = work.blobs[blob]
    assert media_type == "audio/wav"
    with wave.open(io.BytesIO(data)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 24_000)
        return np.frombuffer(read.readframes(read.getnframes()), np.int16)


def test_each_sentence_can_be_heard_before_the_next_and_all_of_them_as_one(
    engine: HibariEngine,
) -> None:
    work = asked()

    output = sent(engine.run(work))

    assert [type(frame) for frame in work.frames[:4]] == [Progress, Segment, Progress, Segment]
    pieces = [heard(work, each["blob"]) for each in output["segments"]]
    whole = heard(work, output["audio"]["blob"])
    assert len(pieces) == 2
    assert (np.concatenate(pieces) == whole).all()
    assert output["duration_s"] == pytest.approx(len(whole) / 24_000, abs=0.001)
    lasts = [each.duration_s or 0 for each in work.said(Segment)]
    assert sum(lasts) == pytest.approx(output["duration_s"], abs=0.01)
    assert work.said(Progress)[-1].fraction == 1.0


def test_it_sounds_like_somebody_who_speaks(engine: HibariEngine) -> None:
    sound = spoken(engine, asked("Hello there.")).astype(float) / 32767

    assert 0.6 < len(sound) / 24_000 < 3
    assert 0.05 < np.abs(sound).max() < 1  # neither silence nor clipped
    pitch = np.argmax(np.abs(np.fft.rfft(sound)[: 1000 * len(sound) // 24_000]))
    assert 80 < pitch * 24_000 / len(sound) < 1000


def test_a_seed_gives_the_same_sound_and_another_seed_another(engine: HibariEngine) -> None:
    one, other, again = (spoken(engine, asked(seed=seed)) for seed in (7, 8, 7))

    assert (one == again).all()
    assert (one != other).any()


def test_twice_as_fast_takes_about_half_as_long(engine: HibariEngine) -> None:
    usual, fast = (len(spoken(engine, asked(speed=speed))) for speed in (1, 2))

    assert 0.4 < fast / usual < 0.65


def test_it_stops_between_two_sentences_when_it_is_told_to(engine: HibariEngine) -> None:
    work = asked(stop_after=2)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.blobs) == 1


def test_a_sentence_without_end_is_said_in_parts(engine: HibariEngine) -> None:
    work = asked("river " * 200)

    engine.run(work)

    assert len(work.said(Segment)) > 2
    assert all(
        before.step != after.step for before, after in itertools.pairwise(work.said(Progress))
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [(" ", "text: is blank"), ("你好", "text: has nothing that can be said in English")],
)
def test_what_cannot_be_said_is_the_callers_mistake(
    engine: HibariEngine, text: str, why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        engine.run(asked(text))


def test_what_would_take_too_long_to_say_is_refused(
    engine: HibariEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert HibariEngine.longest_s * 24_000 * 2 < 32 * 2**20  # of a blob
    monkeypatch.setattr(HibariEngine, "longest_s", 3)

    with pytest.raises(BadInput, match="text: takes longer than 3 s to say"):
        engine.run(asked(speed=0.5))
