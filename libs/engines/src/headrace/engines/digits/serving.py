"""Serving what was trained on the digits: rows or a picture in, digits with their probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

import msgspec

from headrace.engines.digits import cnn, mlp
from headrace.engines.digits.arrays import Unreadable
from headrace.engines.digits.data import LABELS, PIXELS, SHADES, SIDE
from headrace.engines.engine import EngineError, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_ROWS: Final = 1024
_MOST_PIXELS: Final = 4096 * 4096
_AT_ONCE: Final = 64
_LIGHT: Final = 0.5  # of an edge that is paper


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    blob: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Shade: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=SHADES)]
Row: TypeAlias = Annotated[list[Shade], msgspec.Meta(min_length=PIXELS, max_length=PIXELS)]

Digit: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=LABELS)]


class DigitsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Pictures of 8 x 8 pixels, row by row, from 0 (paper) to 16 (ink).
    rows: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=_MOST_ROWS)] | None = None
    # In place of rows: one picture of a digit, of any size.
    image: Blob | None = None
    # Which digit each picture is, where that is known: then it is told how many were read right.
    truth: Annotated[list[Digit], msgspec.Meta(min_length=1, max_length=_MOST_ROWS)] | None = None

    def __post_init__(self) -> None:
        if (self.rows is None) == (self.image is None):
            raise ValueError("give rows or an image, one of the two")
        pictures = 1 if self.rows is None else len(self.rows)
        if self.truth is not None and len(self.truth) != pictures:
            raise ValueError(f"truth names {len(self.truth)} digits of {pictures}")


Predict: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[Any]]"
"""From rows of pixels between 0 and 1 to rows of probabilities."""


class MlpReader:
    """Reads handwritten digits with a network that scikit-learn trained."""

    kind: ClassVar[str] = "inference"
    models: ClassVar[Sequence[str]] = ()  # registered ones alone
    formats: ClassVar[Sequence[str]] = (mlp.FORMAT,)
    Input: ClassVar[type[msgspec.Struct]] = DigitsInput
    requires: ClassVar[Sequence[str]] = ("numpy", "PIL")

    def __init__(self) -> None:
        self._loaded: dict[str, Predict] = {}

    def load(self, model: str) -> None:
        raise NoModelOfItsOwn(model)

    def load_artefact(self, model: str, path: Path) -> None:
        self._loaded[model] = open_mlp(path.read_bytes())

    def unload(self, model: str) -> None:
        self._loaded.pop(model, None)

    def run(self, work: Work[DigitsInput]) -> dict[str, Any]:
        return read_digits(work, self._loaded[work.model])


class CnnReader:
    """Reads handwritten digits with a convolutional network that PyTorch trained."""

    kind: ClassVar[str] = "inference"
    models: ClassVar[Sequence[str]] = ()  # registered ones alone
    formats: ClassVar[Sequence[str]] = (cnn.FORMAT,)
    Input: ClassVar[type[msgspec.Struct]] = DigitsInput
    requires: ClassVar[Sequence[str]] = ("torch", "numpy", "PIL")

    def __init__(self) -> None:
        self._loaded: dict[str, Predict] = {}

    def load(self, model: str) -> None:
        raise NoModelOfItsOwn(model)

    def load_artefact(self, model: str, path: Path) -> None:
        self._loaded[model] = open_cnn(path.read_bytes())

    def unload(self, model: str) -> None:
        self._loaded.pop(model, None)

    def run(self, work: Work[DigitsInput]) -> dict[str, Any]:
        return read_digits(work, self._loaded[work.model])


class NoModelOfItsOwn(EngineError):
    def __init__(self, model: str) -> None:
        super().__init__(f"{model!r} is none of its own: it serves registered models")
        self.model = model


def open_mlp(data: bytes) -> Predict:
    """Raises Unreadable."""
    import numpy as np

    weights = mlp.opened(data)

    def predict(pictures: NDArray[np.float32]) -> NDArray[Any]:
        for coef, intercept in weights[:-1]:
            pictures = np.maximum(pictures @ coef + intercept, 0)
        coef, intercept = weights[-1]
        said = pictures @ coef + intercept
        likely = np.exp(said - said.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    return predict


def open_cnn(data: bytes) -> Predict:
    """Raises Unreadable."""
    import torch

    weights, about = cnn.opened(data)
    device, network = cnn.device(), cnn.network(about.channels)
    try:
        network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
        )
    except RuntimeError as error:
        raise Unreadable(f"its weights fit no network of its kind: {error}") from error
    network = network.to(device).eval()

    def predict(pictures: NDArray[np.float32]) -> NDArray[Any]:
        given = torch.from_numpy(pictures).reshape(-1, 1, SIDE, SIDE).to(device)
        with torch.inference_mode():
            likely: NDArray[Any] = network(given).softmax(dim=1).cpu().numpy()
        return likely

    return predict


def read_digits(work: Work[DigitsInput], predict: Predict) -> dict[str, Any]:
    """`labels` and, for each, the `probabilities` of all ten digits; beside a truth, the `accuracy`."""
    pictures = _pictures(work)
    labels: list[int] = []
    probabilities: list[list[float]] = []
    for begin in range(0, len(pictures), _AT_ONCE):
        likely = predict(pictures[begin : begin + _AT_ONCE])
        labels += [int(digit) for digit in likely.argmax(axis=1)]
        probabilities += [[round(float(each), 6) for each in row] for row in likely]
        work.progress(step=len(labels), steps=len(pictures))
    read = {"labels": labels, "probabilities": probabilities}
    truth = work.input.truth
    if truth is None:
        return read
    right = sum(label == digit for label, digit in zip(labels, truth, strict=True))
    return {**read, "accuracy": right / len(truth)}


def _pictures(work: Work[DigitsInput]) -> NDArray[np.float32]:
    import numpy as np

    if work.input.image is not None:
        return as_row(work.read({"blob": work.input.image.blob}))
    return np.array(work.input.rows, dtype=np.float32) / np.float32(SHADES)


def as_row(data: bytes) -> NDArray[np.float32]:
    """A picture of one digit as the data set has them: ink on paper, whichever of the two was dark."""
    import numpy as np
    from PIL import Image

    from headrace.engines.caption.engine import on_white
    from headrace.engines.upscale.pictures import open_picture

    picture = on_white(open_picture(data, field="image", max_pixels=_MOST_PIXELS))
    grey = Image.fromarray(picture).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    shades = np.asarray(grey, dtype=np.float32) / 255
    edge = np.concatenate([shades[0], shades[-1], shades[1:-1, 0], shades[1:-1, -1]])
    ink = 1 - shades if edge.mean() > _LIGHT else shades
    return np.asarray(ink.reshape(1, PIXELS), dtype=np.float32)
