"""The engine that speaks: a text in; each sentence as soon as it is said, then all of it as one file.

The voice (Apache-2.0) is the one that the package `hibari-tts` carries; of its others, which it would
fetch, nothing is asked for.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.engine import BadInput, Engine, Work
from headrace.engines.options import Options, configured, only, whole_number

if TYPE_CHECKING:  # numpy and onnxruntime come with the first load, in the child process only
    from headrace.engines.speech.voice import Sound, Voice

SEEDS: Final = 2**32


class SpeechInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=5000)]
    speed: Annotated[float, msgspec.Meta(ge=0.5, le=2)] = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0, lt=SEEDS)] | None = None  # None: any, and reported

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise BadInput("text", "is blank")


class HibariEngine:
    """Says an English text aloud, sentence by sentence, on one CPU thread."""

    kind: ClassVar[str] = "speech"
    models: ClassVar[Sequence[str]] = ("hibari-heart",)
    Input: ClassVar[type[msgspec.Struct]] = SpeechInput
    requires: ClassVar[Sequence[str]] = ("hibari", "onnxruntime", "numpy")
    threads: ClassVar[int] = 1
    longest_s: ClassVar[float] = 600  # 29 MB, a little less than a blob may have

    def __init__(self) -> None:
        self._voice: Voice | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        if self._voice is None:
            from headrace.engines.speech.voice import Voice

            self._voice = Voice(threads=self.threads)

    def run(self, work: Work[SpeechInput]) -> dict[str, Any]:
        from headrace.engines.speech.voice import MEDIA_TYPE, RATE, joined, wav

        seed = secrets.randbelow(SEEDS) if work.input.seed is None else work.input.seed
        begun = time.monotonic()
        said, shown = [], []
        for sound in self._said(work, seed):
            said.append(sound)
            lasts_s = len(sound) / RATE
            shown.append(work.segment(wav(sound), MEDIA_TYPE, duration_s=lasts_s).as_output())
        whole = joined(said)
        spent, lasts_s = time.monotonic() - begun, len(whole) / RATE
        work.metric("times_realtime", round(lasts_s / spent, 2))
        return {
            "audio": work.blob(wav(whole), MEDIA_TYPE).as_output(),
            "segments": shown,
            "sample_rate": RATE,
            "duration_s": round(lasts_s, 3),
            "seed": seed,
            "speak_s": round(spent, 3),
        }

    def _said(self, work: Work[SpeechInput], seed: int) -> Iterator[Sound]:
        from headrace.engines.speech.voice import RATE

        given = work.input
        if self._voice is None:
            raise RuntimeError("load comes before run")
        sentences = self._voice.read(given.text)
        if not sentences:
            raise BadInput("text", "has nothing that can be said in English")
        lasts_s = 0.0
        sounds = self._voice.say(sentences, speed=given.speed, seed=seed)
        for number, sound in enumerate(sounds, start=1):
            lasts_s += len(sound) / RATE
            if lasts_s > self.longest_s:
                raise BadInput("text", f"takes longer than {self.longest_s:g} s to say")
            share = number / len(sentences)
            work.progress(share, step=number, steps=len(sentences), stage="speaking")
            yield sound
