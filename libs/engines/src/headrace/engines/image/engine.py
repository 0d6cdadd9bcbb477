"""The engine of the emoji model: a prompt in, a picture out, and what it looks like on the way."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from headrace.engines.engine import BadInput, Engine, Work
from headrace.engines.options import Options, configured, only, whole_number

if TYPE_CHECKING:  # numpy and onnxruntime come with the first load, in the child process only
    from headrace.engines.image.sampler import EmojiFlow, Pixels

_PREVIEWS: Final = 12  # at most, however many the steps
SEEDS: Final = 2**32
_EXAMPLES: Final = "cat, dog, rocket, pizza, rose, dragon, car, heart, small, green, at night"


class EmojiInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    steps: Annotated[int, msgspec.Meta(ge=1, le=100)] = 24
    guidance: Annotated[float, msgspec.Meta(ge=0, le=10)] = 3.0
    seed: Annotated[int, msgspec.Meta(ge=0, lt=SEEDS)] | None = None  # None: any, and reported
    size: Literal["native", 128, 256] = "native"


class EmojiFlowEngine:
    """Draws emoji-like pictures from a prompt, 64 pixels wide, on one CPU thread."""

    kind: ClassVar[str] = "image"
    models: ClassVar[Sequence[str]] = ("emoji-flow",)
    Input: ClassVar[type[msgspec.Struct]] = EmojiInput
    requires: ClassVar[Sequence[str]] = ("onnxruntime", "numpy", "PIL")
    threads: ClassVar[int] = 1

    def __init__(self) -> None:
        self._flow: EmojiFlow | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        self._loaded()

    def run(self, work: Work[EmojiInput]) -> dict[str, Any]:
        given, flow = work.input, self._loaded()
        refuse_blank(given.prompt)
        known = flow.known_words(given.prompt)
        if not known:
            work.log(f"no word of this prompt is known to me; I know {_EXAMPLES} and others")
        seed = secrets.randbelow(SEEDS) if given.seed is None else given.seed
        begun = time.monotonic()
        picture = at_size(_drawn(work, flow, seed), given.size)
        spent = time.monotonic() - begun
        work.metric("steps_per_s", given.steps / spent)
        return {
            "image": work.blob(png(picture), "image/png").as_output(),
            "width": len(picture),
            "height": len(picture),
            "seed": seed,
            "steps": given.steps,
            "known_words": known,
            "draw_s": round(spent, 3),
        }

    def _loaded(self) -> EmojiFlow:
        if self._flow is None:
            from headrace.engines.image.sampler import EmojiFlow

            folder = files("headrace.engines.image") / "weights"
            self._flow = EmojiFlow(folder, threads=self.threads)
        return self._flow


def _drawn(work: Work[EmojiInput], flow: EmojiFlow, seed: int) -> Pixels:
    """The last picture; every step is reported, and some of them are shown."""
    given = work.input
    every = -(-given.steps // _PREVIEWS)
    drawing = flow.draw(given.prompt, steps=given.steps, guidance=given.guidance, seed=seed)
    work.progress(0.0, step=0, steps=given.steps, stage="drawing")
    for step, picture in drawing:
        work.progress(step / given.steps, step=step, steps=given.steps, stage="drawing")
        if step == given.steps:
            return picture
        if step % every == 0 or step == 1:
            work.preview(png(picture), step=step)
    raise AssertionError("there is always a last step")


def at_size(picture: Pixels, size: Literal["native", 128, 256]) -> Pixels:
    """Previews stay native; the page enlarges them, and frames stay small."""
    from headrace.engines.image.sampler import resized

    return picture if size == "native" else resized(picture, size)


def refuse_blank(prompt: str) -> None:
    if not prompt.strip():
        raise BadInput("prompt", "is blank")
    if "\0" in prompt:
        raise BadInput("prompt", "has a NUL character in it")


def png(picture: Pixels) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(picture).save(held, "PNG")
    return held.getvalue()
