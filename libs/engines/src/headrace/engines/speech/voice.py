"""hibari's voice: how a text is spoken, and the sound of it. Imported with the first model."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from hibari import Hibari
from numpy.typing import NDArray

import headrace.engines.onnx  # noqa: F401  # silences the library before another opens a session

MEDIA_TYPE: Final = "audio/wav"
RATE: Final = 24_000  # samples a second
_AT_ONCE: Final = 400  # phonemes: the memory that it takes grows with them

Sound: TypeAlias = NDArray[np.float32]


class Voice:
    def __init__(self, *, threads: int) -> None:
        self._voice: Any = Hibari(threads=threads)
        self._voice.g2p  # noqa: B018  # reads its dictionaries now, not with the first job

    def read(self, text: str) -> list[str]:
        """What is to be said, in phonemes, a sentence each or a part of a long one."""
        return [part for sentence in self._voice.phonemize(text) for part in _parts(sentence)]

    def say(self, sentences: Sequence[str], *, speed: float, seed: int) -> Iterator[Sound]:
        chance = np.random.default_rng(seed)
        for sentence in sentences:
            yield self._voice.from_ids(self._voice.ids(sentence), speed, chance)


def joined(sounds: Sequence[Sound]) -> Sound:
    return np.concatenate(sounds)


def wav(sound: Sound) -> bytes:
    """One channel of 16 bits."""
    held = io.BytesIO()
    with wave.open(held, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return held.getvalue()


def _parts(sentence: str) -> Iterator[str]:
    """At a space, where one is near enough; a word without end is cut."""
    while len(sentence) > _AT_ONCE:
        cut = sentence.rfind(" ", 1, _AT_ONCE + 1)
        cut = _AT_ONCE if cut < 0 else cut
        yield sentence[:cut]
        sentence = sentence[cut:].lstrip()
    yield sentence
