"""Draws with the emoji model: from noise to a picture along a straight path, one step at a time."""

import json
import math
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headrace.engines.image.words import Encoded, Scene, Vocabulary
from headrace.engines.onnx import open_session

NATIVE: Final = 64
_CANVAS: Final = (3, NATIVE, NATIVE)
# Shape is decided while noise reigns, so steps are short there: time runs as u / (u + SHIFT (1 - u)).
SHIFT: Final = 3.0

Pixels: TypeAlias = NDArray[np.uint8]


class EmojiFlow:
    """The model in memory. `draw` may be called again and again, from one thread at a time."""

    def __init__(self, folder: Path | Traversable, *, threads: int = 1) -> None:
        graph = (folder / "emoji_flow.onnx").read_bytes()
        self._session = open_session(graph, threads=threads)
        self.vocabulary = Vocabulary(json.loads((folder / "vocabulary.json").read_text("utf-8")))

    def known_words(self, prompt: str) -> list[str]:
        """The words of the prompt that change the picture, as the model spells them."""
        return self.vocabulary.known(prompt)

    def draw(
        self, prompt: str, *, steps: int, guidance: float, seed: int
    ) -> Iterator[tuple[int, Pixels]]:
        """Each step's number, from 1, and the picture as the model sees it by then.

        The same arguments draw the same pictures. `guidance` is how much the prompt counts: 1 is
        as taught, more is more literal.
        """
        canvas = np.random.default_rng(seed).standard_normal(_CANVAS, np.float32)
        yield from self.clear(prompt, canvas, steps=steps, guidance=guidance)

    def clear(
        self, prompt: str, canvas: NDArray[np.float32], *, steps: int, guidance: float
    ) -> Iterator[tuple[int, Pixels]]:
        """The same from this noise, which is used up."""
        told = self.vocabulary.encode(self.vocabulary.read(prompt))
        untold = self.vocabulary.encode(Scene(()))
        times = _times(steps)
        for step in range(1, steps + 1):
            now, then = times[step - 1], times[step]
            clean = self._clean(canvas, now, (told, untold), guidance)
            yield step, _pixels(clean)
            canvas += (then - now) / (1 - now) * (clean - canvas)

    def guesses(
        self, canvas: NDArray[np.float32], time: float, told: Sequence[Encoded]
    ) -> NDArray[np.float32]:
        """The clean picture behind a noisy one, as each of these scenes would have it."""
        given = {
            "noisy": np.stack([canvas] * len(told)),
            "time": np.full(len(told), time, np.float32),
            "ids": np.stack([each.ids for each in told]),
            "weights": np.stack([each.weights for each in told]),
        }
        return np.asarray(self._session.run(None, given)[0], np.float32)

    def _clean(
        self,
        canvas: NDArray[np.float32],
        time: float,
        read: tuple[Encoded, Encoded],
        guidance: float,
    ) -> NDArray[np.float32]:
        seen = self.guesses(canvas, time, read[:1] if guidance == 1 else read)
        led = seen if len(seen) == 1 else seen[1:] + guidance * (seen[:1] - seen[1:])
        return np.clip(led, -1, 1).reshape(canvas.shape)


def moving_noise(seed: int, *, frames: int, motion: float) -> Iterator[NDArray[np.float32]]:
    """Canvases on a circle, each as strong as noise is: so the last picture leads to the first again."""
    centre, across, along = np.random.default_rng(seed).standard_normal((3, *_CANVAS), np.float32)
    for frame in range(frames):
        angle = math.tau * frame / frames
        swing = math.cos(angle) * across + math.sin(angle) * along
        yield (math.sqrt(1 - motion**2) * centre + motion * swing).astype(np.float32)


def resized(picture: Pixels, size: int) -> Pixels:
    """The picture at another size, smoothly."""
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))


def _times(steps: int) -> list[float]:
    even = (step / steps for step in range(steps + 1))
    return [u / (u + SHIFT * (1 - u)) for u in even]


def _pixels(clean: NDArray[np.float32]) -> Pixels:
    levels = np.rint((np.clip(clean, -1, 1) + 1) * 127.5)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))
