"""Pictures in and out: decoded with limits, and with no black behind what is transparent."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from headrace.engines.engine import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_PREVIEW_SIDE: Final = 192
_PREVIEW_QUALITY: Final = 70
_SPREAD: Final = 8  # pixels that colour is carried into what is transparent
_NOTHING: Final = 1e-4


def open_picture(data: bytes, *, field: str, max_pixels: int) -> NDArray[np.uint8]:
    """Height x width x 3 bytes, or 4 where there is transparency.

    Raises BadInput; the size is looked at before anything is decoded.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            _refuse_size(image.width, image.height, field, max_pixels)
            _refuse_depth(image.mode, field)
            upright = ImageOps.exif_transpose(image)
            upright.load()
    except UnidentifiedImageError as error:
        raise BadInput(field, f"is no picture in {', '.join(_FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise BadInput(field, f"has too many pixels; at most {max_pixels:,} are read") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken files
        raise BadInput(field, f"cannot be decoded: {error}") from error

    if upright.has_transparency_data:
        return _with_colours_under(np.array(upright.convert("RGBA")))
    return np.array(upright.convert("RGB"))


def to_png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    return _encoded(Image.fromarray(picture), "PNG", compress_level=3)


def to_preview(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
    return _encoded(image, "WEBP", quality=_PREVIEW_QUALITY, method=2)


def _with_colours_under(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What nobody sees is often black, and would darken every edge: carry the seen colours into it."""
    import numpy as np

    colours, weight = picture[..., :3], picture[..., 3].astype(np.float32) / np.float32(255)
    if weight.min() > 0 or weight.max() == 0:
        return picture
    seen = np.maximum(_spread(weight), _NOTHING)
    carried = np.stack([_spread(plane * weight) / seen for plane in colours.transpose(2, 0, 1)], -1)
    hidden = weight == 0
    colours[hidden] = carried.clip(0, 255).astype(np.uint8)[hidden]
    return picture


def _spread(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each value shared with its surroundings: shrunk to means, and stretched again."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(plane)
    small = (-(-image.width // _SPREAD), -(-image.height // _SPREAD))
    means = image.resize(small, Image.Resampling.BOX)
    return np.asarray(means.resize(image.size, Image.Resampling.BILINEAR))


def _refuse_size(width: int, height: int, field: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadInput(
            field,
            f"has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} are read",
        )


def _refuse_depth(mode: str, field: str) -> None:
    if mode.startswith(("I", "F")):
        raise BadInput(field, "has more than 8 bits a channel")


def _encoded(image: Image, form: str, **how: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()
