"""The upscaler: the real networks, on small pictures."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from headrace.contracts.frames import Preview, Progress
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.registry import decode_input, missing
from headrace.engines.upscale.pictures import open_picture
from headrace.engines.upscale.realesrgan import RealEsrganEngine
from headrace.engines.upscale.tiles import TILE, Tile, tile_count, tiles
from headrace.testkit.work import RecordedWork, sent, work_for

X2, X4 = RealEsrganEngine.models
GIVEN = {"image": {"blob": "given"}}


@pytest.fixture(scope="session")
def engine() -> RealEsrganEngine:
    assert missing(RealEsrganEngine) == []
    loaded = RealEsrganEngine()
    for model in RealEsrganEngine.models:
        loaded.load(model)
    return loaded


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def headed(width: int, height: int) -> bytes:
    """A small picture whose head speaks of this size."""
    data = bytearray(encoded(Image.new("1", (8, 8))))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def a_picture(width: int, height: int) -> Image.Image:
    """A disc on a soft ground: an edge to sharpen and a plain to leave alone."""
    image = Image.new("RGB", (width, height), (40, 90, 160))
    box = (width * 0.2, height * 0.2, width * 0.8, height * 0.8)
    ImageDraw.Draw(image).ellipse(box, fill=(250, 200, 60), outline=(20, 20, 20), width=2)
    return image


def asked(
    image: Image.Image | bytes, *, model: str = X2, stop_after: int | None = None
) -> RecordedWork:
    data = image if isinstance(image, bytes) else encoded(image)
    return work_for(
        RealEsrganEngine, GIVEN, model=model, stop_after=stop_after, inputs={"given": data}
    )


def result(work: RecordedWork, output: dict[str, Any]) -> Image.Image:
    data, media_type = work.blobs[sent(output)["image"]["blob"]]
    assert media_type == "image/png"
    return Image.open(BytesIO(data))


@pytest.mark.parametrize(("model", "scale"), [(X2, 2), (X4, 4)])
def test_the_picture_is_the_same_only_larger(
    engine: RealEsrganEngine, model: str, scale: int
) -> None:
    given = a_picture(60, 44)
    work = asked(given, model=model)

    output = engine.run(work)
    large = result(work, output)

    assert large.size == (output["width"], output["height"]) == (60 * scale, 44 * scale)
    small_again = np.asarray(large.resize(given.size, Image.Resampling.BOX), dtype=float)
    assert np.abs(small_again - np.asarray(given)).mean() < 5


def test_edges_come_back_sharper_than_by_interpolation(engine: RealEsrganEngine) -> None:
    given = a_picture(256, 256).resize((64, 64), Image.Resampling.BOX)
    work = asked(given, model=X4)

    large = result(work, engine.run(work))
    soft = given.resize(large.size, Image.Resampling.BICUBIC)

    def steepest(image: Image.Image) -> float:
        steps = np.abs(np.diff(np.asarray(image.convert("L"), dtype=float), axis=1))
        return float(np.percentile(steps, 99.5))

    assert steepest(large) > 1.5 * steepest(soft)


def test_tiles_leave_no_seam(engine: RealEsrganEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    given = a_picture(TILE + 30, TILE + 10)
    by_tiles = asked(given)
    seamed = np.asarray(result(by_tiles, engine.run(by_tiles)), dtype=int)

    monkeypatch.setattr("headrace.engines.upscale.tiles.TILE", 2 * TILE)
    whole = asked(given)
    seamless = np.asarray(result(whole, engine.run(whole)), dtype=int)

    assert len(by_tiles.said(Progress)) == 4
    assert len(whole.said(Progress)) == 1
    assert np.abs(seamed - seamless).max() <= 1


def test_progress_and_previews_come_with_the_tiles(engine: RealEsrganEngine) -> None:
    work = asked(a_picture(2 * TILE, TILE))

    engine.run(work)

    assert [(frame.step, frame.steps) for frame in work.said(Progress)] == [(1, 2), (2, 2)]
    assert len(work.said(Preview)) == 2
    assert all(len(preview) < 36_000 for preview in work.previews)


def test_a_preview_of_pure_noise_is_still_small_enough(engine: RealEsrganEngine) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (TILE, TILE, 3), dtype=np.uint8)
    work = asked(Image.fromarray(noise))

    engine.run(work)

    assert all(len(preview) < 36_000 for preview in work.previews)


def test_it_stops_between_two_tiles(engine: RealEsrganEngine) -> None:
    work = asked(a_picture(3 * TILE, TILE), stop_after=2)

    with pytest.raises(Stopped):
        engine.run(work)

    assert work.blobs == {}


def test_transparency_is_kept_and_hidden_black_does_not_bleed(engine: RealEsrganEngine) -> None:
    given = Image.new("RGBA", (48, 48), (0, 0, 0, 0))
    ImageDraw.Draw(given).ellipse((8, 8, 40, 40), fill=(240, 240, 240, 255))
    work = asked(given)

    large = np.asarray(result(work, engine.run(work)))

    assert large.shape == (96, 96, 4)
    assert large[0, 0, 3] == 0
    assert large[48, 48, 3] == 255
    assert large[large[..., 3] > 32][:, :3].min() > 180


def test_a_picture_lying_on_its_side_is_put_upright(engine: RealEsrganEngine) -> None:
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    a_picture(40, 20).save(buffer, "JPEG", exif=exif)

    output = engine.run(asked(buffer.getvalue()))

    assert (output["width"], output["height"]) == (40, 80)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"not a picture", "is no picture in PNG, JPEG, WEBP"),
        (encoded(Image.new("RGB", (8, 8)), "BMP"), "is no picture in"),
        (encoded(a_picture(64, 64))[:90], "cannot be decoded"),
        (encoded(Image.new("I;16", (8, 8))), "has more than 8 bits a channel"),
        (encoded(Image.new("1", (1025, 1024))), "has 1025 x 1024 = 1,049,600 pixels; at most"),
        (headed(60_000, 30_000), "has too many pixels"),
    ],
    ids=[
        "not a picture",
        "another format",
        "cut off",
        "16 bits",
        "too large",
        "far too large",
    ],
)
def test_what_is_no_picture_for_it_is_refused(
    engine: RealEsrganEngine, data: bytes, why: str
) -> None:
    with pytest.raises(BadInput, match=f"image: {why}"):
        engine.run(asked(data, model=X4))


def test_input_names_one_blob() -> None:
    with pytest.raises(BadInput, match=r"image\.blob: is missing"):
        decode_input(RealEsrganEngine, {"image": {}})


def test_grey_and_palette_pictures_are_read_as_colours() -> None:
    for mode in ("L", "P", "1"):
        picture = open_picture(encoded(a_picture(9, 7).convert(mode)), field="f", max_pixels=99)

        assert picture.shape == (7, 9, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (TILE, TILE), (TILE + 1, 3 * TILE - 1)])
def test_tiles_cover_every_pixel_once(width: int, height: int) -> None:
    covered = np.zeros((height, width), dtype=int)

    found: list[Tile] = list(tiles(width, height))
    for tile in found:
        covered[tile.keep_top : tile.keep_bottom, tile.keep_left : tile.keep_right] += 1

    assert len(found) == tile_count(width, height)
    assert (covered == 1).all()
