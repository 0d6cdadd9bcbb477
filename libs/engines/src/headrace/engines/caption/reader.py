"""Reads a picture with the model that draws: which words explain it best?

The model guesses a clean picture from a noisy one and what it is told. Noise is put on the picture, and the
guess is nearest to it for the words that say what is on it. So drawing's weights read, and need no others.
First comes what is behind and which colour stands out, then the subject: all are tried at one noise, the
better ones at more. What the model was not taught to draw, it cannot name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headrace.engines.image.sampler import NATIVE, EmojiFlow, Pixels
from headrace.engines.image.words import BACKGROUNDS, COLOURS, Encoded, Scene, tokens

Told: TypeAlias = Callable[[float], None]
"""How much is done, from 0 to 1; may raise to stop."""

# Times at which the picture is looked at, 0 being all noise, and how many scenes are kept after that.
_ROUNDS: Final = (((0.3,), 48), ((0.2, 0.3, 0.45), 12), ((0.1, 0.15, 0.25, 0.35, 0.5, 0.6), 5))
_FIRST_LOOK: Final = (0.2, 0.3, 0.45)
_AT_ONCE: Final = 32  # scenes
_SEED: Final = 0  # the same picture is read the same way
_PAYS: Final = 0.05  # a background is named where it explains so much more


@dataclass(frozen=True, slots=True)
class Reading:
    subject: str
    colour: str | None
    background: str | None
    miss: float  # mean square of what is left unexplained; less is better


class Reader:
    """One thread at a time."""

    def __init__(self, flow: EmojiFlow) -> None:
        self._flow = flow
        listed = (
            (files("headrace.engines.caption") / "subjects.txt").read_text("utf-8").splitlines()
        )
        known = set(flow.vocabulary.words)
        self._subjects = [each for each in listed if known.issuperset(tokens(each))]

    def read(self, picture: Pixels, told: Told) -> list[Reading]:
        """What fits best, the best first."""
        look = _Look(self._flow, _as_canvas(picture), told, self._work())
        background = look.background()
        colour = look.colour(background)
        left = [
            Reading(subject, tint, background, 0.0)
            for tint in dict.fromkeys([None, colour])
            for subject in self._subjects
        ]
        for times, keep in _ROUNDS:
            misses = look.misses([_scene(each) for each in left], times) / len(times)
            ranked = np.argsort(misses, kind="stable")[:keep]
            left = [replace(left[nth], miss=float(misses[nth])) for nth in ranked]
        return left

    def _work(self) -> int:
        """How many guesses one reading takes at most."""
        first = (2 + len(BACKGROUNDS) + len(COLOURS)) * len(_FIRST_LOOK)
        many = [2 * len(self._subjects), *(keep for _, keep in _ROUNDS)]
        return first + sum(n * len(times) for n, (times, _) in zip(many, _ROUNDS, strict=False))


class _Look:
    """At one picture."""

    def __init__(self, flow: EmojiFlow, clean: NDArray[np.float32], told: Told, whole: int) -> None:
        self._flow, self._clean = flow, clean
        self._rng = np.random.default_rng(_SEED)
        self._told, self._whole, self._done = told, whole, 0

    def background(self) -> str | None:
        scenes = [Scene((), None), *(Scene((), name) for name in BACKGROUNDS)]
        misses = self.misses(scenes, _FIRST_LOOK)
        best = int(np.argmin(misses))
        pays = misses[best] < misses[0] * (1 - _PAYS)
        return BACKGROUNDS[best - 1] if best and pays else None

    def colour(self, background: str | None) -> str | None:
        """The one that stands out; None: that it is told helps nowhere."""
        scenes = [Scene((), background), *(Scene(((name,),), background) for name in COLOURS)]
        best = int(np.argmin(self.misses(scenes, _FIRST_LOOK)))
        return COLOURS[best - 1] if best else None

    def misses(self, scenes: Sequence[Scene], times: Sequence[float]) -> NDArray[np.float64]:
        told = [self._flow.vocabulary.encode(scene) for scene in scenes]
        total = np.zeros(len(told))
        for time in times:
            noise = self._rng.standard_normal(self._clean.shape, np.float32)
            noisy = time * self._clean + (1 - time) * noise
            for begin, part in _parts(told):
                guessed = self._flow.guesses(noisy, time, part)
                wrong = (guessed - self._clean) ** 2
                total[begin : begin + len(part)] += wrong.mean(axis=(1, 2, 3))
                self._done += len(part)
                self._told(min(1.0, self._done / self._whole))
        return total


def _scene(reading: Reading) -> Scene:
    tint = () if reading.colour is None else (reading.colour,)
    return Scene(((*tint, *tokens(reading.subject)),), reading.background)


def _parts(told: Sequence[Encoded]) -> Iterator[tuple[int, Sequence[Encoded]]]:
    for begin in range(0, len(told), _AT_ONCE):
        yield begin, told[begin : begin + _AT_ONCE]


def _as_canvas(picture: Pixels) -> NDArray[np.float32]:
    """As the model has its pictures: small, and from -1 to 1."""
    small = Image.fromarray(picture).resize((NATIVE, NATIVE), Image.Resampling.LANCZOS)
    levels = np.asarray(small, np.float32) / 127.5 - 1
    return np.ascontiguousarray(levels.transpose(2, 0, 1))
