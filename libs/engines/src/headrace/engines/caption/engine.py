"""The engine that reads pictures: which of the words it knows explains one best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.engine import Engine, Work
from headrace.engines.options import Options, configured, only, whole_number

if TYPE_CHECKING:  # numpy and onnxruntime come with the first load, in the child process only
    import numpy as np
    from numpy.typing import NDArray

    from headrace.engines.caption.reader import Reader, Reading

_MAX_PIXELS: Final = 4096 * 4096
_OPAQUE: Final = 3  # channels
_SURE: Final = 0.9  # of the second best's miss: what is not better than that is named with a doubt


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    blob: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class CaptionInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image: Blob


class EmojiReaderEngine:
    """Names what is to be seen on an emoji-like picture, of some two hundred subjects."""

    kind: ClassVar[str] = "caption"
    models: ClassVar[Sequence[str]] = ("emoji-flow-reader",)
    Input: ClassVar[type[msgspec.Struct]] = CaptionInput
    requires: ClassVar[Sequence[str]] = ("onnxruntime", "numpy", "PIL")
    threads: ClassVar[int] = 1

    def __init__(self) -> None:
        self._reader: Reader | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        self._loaded()

    def run(self, work: Work[CaptionInput]) -> dict[str, Any]:
        from headrace.engines.upscale.pictures import open_picture

        reader = self._loaded()
        data = work.read({"blob": work.input.image.blob})
        picture = on_white(open_picture(data, field="image", max_pixels=_MAX_PIXELS))
        begun = time.monotonic()
        readings = reader.read(picture, lambda done: work.progress(done, stage="reading"))
        best = readings[0]
        return {
            "caption": caption(readings),
            "subjects": [{"subject": it.subject, "miss": round(it.miss, 5)} for it in readings],
            "colour": best.colour,
            "background": best.background,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "read_s": round(time.monotonic() - begun, 3),
        }

    def _loaded(self) -> Reader:
        if self._reader is None:
            from headrace.engines.caption.reader import Reader
            from headrace.engines.image.sampler import EmojiFlow

            folder = files("headrace.engines.image") / "weights"
            self._reader = Reader(EmojiFlow(folder, threads=self.threads))
        return self._reader


def caption(readings: Sequence[Reading]) -> str:
    """In words, with a doubt where another subject explains it almost as well."""
    best = readings[0]
    other = next((each for each in readings if each.subject != best.subject), None)
    named = " ".join(word for word in (best.colour, best.subject) if word is not None)
    if other is not None and best.miss > other.miss * _SURE:
        named = f"{named}, or perhaps {other.subject}"
    match best.background:
        case None:
            return named
        case "night" | "sunset":
            return f"{named}, at {best.background}"
        case _:
            return f"{named}, on a {best.background} background"


def on_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np

    if picture.shape[2] == _OPAQUE:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    blended = picture[..., :3] * alpha + 255 * (1 - alpha)
    return blended.round().astype(np.uint8)
