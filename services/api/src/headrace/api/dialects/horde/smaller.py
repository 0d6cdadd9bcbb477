"""A picture that is too large for a frame, made smaller: with Pillow, where that is installed beside the api."""

from __future__ import annotations

import io
import warnings
from typing import Final

from headrace.api.dialects.horde.errors import HordeError

_SIDES: Final = (512, 384, 256, 128)  # tried in turn, until one is small enough
_QUALITY: Final = 70
_PIXELS_AT_MOST: Final = 4096 * 4096  # a few bytes can claim to be more than there is memory for


def smaller(data: bytes, limit: int) -> bytes:
    """As WebP, of at most so many bytes. Raises HordeError."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        said = f"A preview has at most {limit} bytes here: this server cannot make it smaller."
        raise HordeError(413, "PayloadTooLarge", said) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF"))
            if picture.width * picture.height > _PIXELS_AT_MOST:
                raise HordeError(413, "PayloadTooLarge", "The preview has too many pixels.")
            picture.draft("RGB", (_SIDES[0], _SIDES[0]))
            shown = picture.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombWarning, OSError, ValueError) as error:
        raise HordeError(400, "ImageValidationFailed", "That is no picture.") from error
    for side in _SIDES:
        shown.thumbnail((side, side))
        held = io.BytesIO()
        shown.save(held, "WEBP", quality=_QUALITY)
        if len(held.getvalue()) <= limit:
            return held.getvalue()
    raise HordeError(413, "PayloadTooLarge", "The preview cannot be made small enough.")
