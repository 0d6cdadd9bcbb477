"""The engine of moving emoji: a prompt in; segments while it draws, then one file."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from headrace.engines.engine import Engine, Work
from headrace.engines.image.engine import SEEDS, at_size, png, refuse_blank
from headrace.engines.options import Options, configured, only, whole_number

if TYPE_CHECKING:  # numpy, onnxruntime and PyAV come with the first load, in the child process only
    from headrace.engines.image.sampler import EmojiFlow, Pixels

_PREVIEWS: Final = 12  # at most, however many the pictures


class MotionInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    frames: Annotated[int, msgspec.Meta(ge=2, le=240)] = 24
    fps: Annotated[int, msgspec.Meta(ge=1, le=30)] = 12
    steps: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10  # of each picture
    guidance: Annotated[float, msgspec.Meta(ge=0, le=10)] = 3.0
    motion: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5  # 0: it stands still
    seed: Annotated[int, msgspec.Meta(ge=0, lt=SEEDS)] | None = None  # None: any, and reported
    size: Literal["native", 128, 256] = 128


class EmojiMotionEngine:
    """Draws an emoji-like picture that moves, a second of it at a time, on one CPU thread."""

    kind: ClassVar[str] = "video"
    models: ClassVar[Sequence[str]] = ("emoji-motion",)
    Input: ClassVar[type[msgspec.Struct]] = MotionInput
    requires: ClassVar[Sequence[str]] = ("av", "onnxruntime", "numpy", "PIL")
    threads: ClassVar[int] = 1

    def __init__(self) -> None:
        self._flow: EmojiFlow | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        self._loaded()

    def run(self, work: Work[MotionInput]) -> dict[str, Any]:
        from headrace.engines.video.encoder import MEDIA_TYPE, joined, segment

        given, flow = work.input, self._loaded()
        refuse_blank(given.prompt)
        seed = secrets.randbelow(SEEDS) if given.seed is None else given.seed
        begun = time.monotonic()
        made, shown = [], []
        for pictures in _seconds(_drawn(work, flow, seed), given.fps):
            piece = segment(pictures, fps=given.fps)
            made.append(piece)
            lasts_s = piece.frames / given.fps
            shown.append(work.segment(piece.data, MEDIA_TYPE, duration_s=lasts_s).as_output())
        spent = time.monotonic() - begun
        work.metric("frames_per_s", given.frames / spent)
        return {
            "video": work.blob(joined(made, fps=given.fps), MEDIA_TYPE).as_output(),
            "segments": shown,
            "width": made[0].width,
            "height": made[0].height,
            "frames": given.frames,
            "fps": given.fps,
            "duration_s": round(given.frames / given.fps, 3),
            "seed": seed,
            "known_words": flow.known_words(given.prompt),
            "draw_s": round(spent, 3),
        }

    def _loaded(self) -> EmojiFlow:
        if self._flow is None:
            from headrace.engines.image.sampler import EmojiFlow

            folder = files("headrace.engines.image") / "weights"
            self._flow = EmojiFlow(folder, threads=self.threads)
        return self._flow


def _drawn(work: Work[MotionInput], flow: EmojiFlow, seed: int) -> Iterator[Pixels]:
    """Every picture is told, some are shown, and between any two steps it may be stopped."""
    from headrace.engines.image.sampler import moving_noise

    given = work.input
    every = -(-given.frames // _PREVIEWS)
    canvases = moving_noise(seed, frames=given.frames, motion=given.motion)
    work.progress(0.0, step=0, steps=given.frames, stage="drawing")
    for frame, canvas in enumerate(canvases, start=1):
        steps = flow.clear(given.prompt, canvas, steps=given.steps, guidance=given.guidance)
        picture = _last(work, steps)
        work.progress(frame / given.frames, step=frame, steps=given.frames, stage="drawing")
        if (frame - 1) % every == 0:
            work.preview(png(picture), step=frame)
        yield at_size(picture, given.size)


def _last(work: Work[MotionInput], steps: Iterator[tuple[int, Pixels]]) -> Pixels:
    """The picture after the last step; between any two it may be stopped."""
    for step, picture in steps:
        work.check()
        if step == work.input.steps:
            return picture
    raise AssertionError("there is always a last step")


def _seconds(pictures: Iterator[Pixels], fps: int) -> Iterator[list[Pixels]]:
    held: list[Pixels] = []
    for picture in pictures:
        held.append(picture)
        if len(held) == fps:
            yield held
            held = []
    if held:
        yield held
