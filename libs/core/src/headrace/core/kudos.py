"""What work costs, in kudos: pure, in integers, the same for everybody who asks the same. See docs/kudos.md.

Amounts are milli-kudos everywhere but on the wire. Ten kudos are one image of 512 x 512 in 50 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias, assert_never

KUDO: Final = 1000  # milli-kudos
MOST: Final = 10**15  # of one amount: a balance of many of them still fits 64 bits

# 512 * 512 * 50 / 10_000, as a fraction: so many pixels, each for one step, are a milli-kudo.
_PIXELS_NUMERATOR: Final = 512 * 512 * 50
_PIXELS_DENOMINATOR: Final = 10 * KUDO
_TWO_PASSES: Final = frozenset({"k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2s_a", "k_dpmpp_sde"})
_CONTROL_PERCENT: Final = 200  # on top: a second network reads along in every step
_SOURCE_PERCENT: Final = 10
_LORA_PERCENT: Final = 5
_HIRES_PERCENT: Final = 100
_POST_PROCESSING: Final = 2 * KUDO  # each, for an image of any size
_IMAGE_AT_LEAST: Final = KUDO

_TOKENS_PER_KUDO: Final = 50  # written, by a model of a thousand million parameters
_CONTEXT_TOKENS_PER_KUDO: Final = 1000  # read, by the same
_SMALLEST_MODEL: Final = 500  # million parameters: what is smaller costs as much
_UNKNOWN_MODEL: Final = 7000
_TEXT_AT_LEAST: Final = KUDO

_FORMS: Final = {"nsfw": KUDO, "caption": 3 * KUDO, "interrogation": 3 * KUDO}
_OTHER_FORM: Final = 5 * KUDO  # what makes a picture of a picture

_FRAMES_TOGETHER: Final = 4  # frames share most of their work with the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWork:
    width: int  # pixels
    height: int
    steps: int
    n: int = 1
    sampler: str = "k_euler"
    source_image: bool = False
    control: bool = False
    hires_fix: bool = False
    loras: int = 0
    post_processing: int = 0  # how many


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWork:
    """As asked for: what is not used of it is not given back."""

    max_length: int  # tokens
    max_context_length: int
    n: int = 1
    parameters: int | None = None  # of the model, in millions; None: nobody says


@dataclass(frozen=True, slots=True)
class AlchemyWork:
    forms: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoWork:
    width: int
    height: int
    steps: int
    frames: int
    n: int = 1


Work: TypeAlias = ImageWork | TextWork | AlchemyWork | VideoWork


def quote(work: Work) -> int:
    """Milli-kudos. Of `n` of the same it is `n` times what one is, to the last of them."""
    match work:
        case ImageWork():
            return work.n * max(_IMAGE_AT_LEAST, _image(work))
        case TextWork():
            return work.n * max(_TEXT_AT_LEAST, _text(work))
        case AlchemyWork():
            return sum(_FORMS.get(form, _OTHER_FORM) for form in work.forms)
        case VideoWork():
            frame = _steps_of(work.width * work.height, work.steps)
            frames = frame + _up(frame * max(0, work.frames - 1), _FRAMES_TOGETHER)
            return work.n * max(_IMAGE_AT_LEAST, frames)
        case _:
            assert_never(work)


def _image(work: ImageWork) -> int:
    steps = work.steps * (2 if work.sampler in _TWO_PASSES else 1)
    percent = (
        100
        + (_CONTROL_PERCENT if work.control else 0)
        + (_SOURCE_PERCENT if work.source_image else 0)
        + (_HIRES_PERCENT if work.hires_fix else 0)
        + _LORA_PERCENT * work.loras
    )
    drawing = _up(_steps_of(work.width * work.height, steps) * percent, 100)
    return drawing + _POST_PROCESSING * work.post_processing


def _steps_of(pixels: int, steps: int) -> int:
    return _up(pixels * steps * _PIXELS_DENOMINATOR, _PIXELS_NUMERATOR)


def _text(work: TextWork) -> int:
    millions = max(_SMALLEST_MODEL, work.parameters or _UNKNOWN_MODEL)
    written = _up(
        work.max_length * millions, _TOKENS_PER_KUDO
    )  # a million of parameters is a milli
    read = _up(work.max_context_length * millions, _CONTEXT_TOKENS_PER_KUDO)
    return written + read


def _up(amount: int, by: int) -> int:
    return -(-amount // by)


def in_kudos(amount: int) -> float | int:
    """As the wire has it: 10 or 10.5."""
    whole, rest = divmod(amount, KUDO)
    return whole if rest == 0 else float(Decimal(amount) / KUDO)


def from_kudos(number: float) -> int:
    """Raises ValueError on what is finer than a milli-kudo, or more than anybody can have."""
    try:
        amount = Decimal(str(number)) * KUDO
    except ArithmeticError as error:
        raise ValueError("this is no amount of kudos") from error
    if not amount.is_finite() or abs(amount) > MOST:
        raise ValueError(f"an amount is at most {MOST // KUDO} kudos")
    if amount != amount.to_integral_value():
        raise ValueError("a thousandth is the smallest part of a kudo")
    return int(amount)
