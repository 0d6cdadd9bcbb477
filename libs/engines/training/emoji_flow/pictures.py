"""The training pictures: Noto emoji by name, with the words people use for them, in many colours."""

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emoji_flow.words_of import words_of

PACKAGES: Final = {"noto": "emoji-datasource-google@16.0.0", "names": "emojibase-data@17.0.0"}
SIDE: Final = 64

# Hue and saturation that a colour word asks for, and how it shifts brightness.
TINTS: Final = {
    "red": (0.0, 0.85, 1.0),
    "orange": (0.08, 0.95, 1.05),
    "yellow": (0.145, 0.9, 1.15),
    "green": (0.36, 0.75, 0.95),
    "blue": (0.59, 0.85, 1.0),
    "purple": (0.77, 0.65, 1.0),
    "pink": (0.92, 0.5, 1.15),
    "brown": (0.06, 0.6, 0.65),
    "grey": (0.6, 0.05, 0.85),
}


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    words: tuple[str, ...]
    """The words of its name; the more of them a prompt has, the surer the picture."""
    tags: tuple[str, ...]
    """Other words that people use for it."""
    rgba: NDArray[np.uint8]


def load(cache: Path) -> list[Picture]:
    """The chosen pictures; their packages are fetched from npm on first use."""
    for folder, package in PACKAGES.items():
        if not (cache / folder).exists():
            _fetch(package, cache / folder)
    images = {
        _code(entry["unified"]): entry["image"]
        for entry in json.loads((cache / "noto" / "emoji.json").read_text())
    }
    named = {
        entry["label"]: entry
        for entry in json.loads((cache / "names" / "en" / "data.json").read_text())
    }
    chosen = (Path(__file__).parent / "subjects.txt").read_text().splitlines()
    folder = cache / "noto" / "img" / "google" / "64"
    return [
        _picture(named[name], folder / images[_code(named[name]["hexcode"])]) for name in chosen
    ]


def tinted(rgba: NDArray[np.uint8], colour: str) -> NDArray[np.uint8]:
    """The same picture as a colour word would have it; glints and outlines stay."""
    hue, strength, lift = TINTS[colour]
    hsv = np.asarray(Image.fromarray(rgba[..., :3]).convert("HSV")).astype(np.float32) / 255
    saturation, value = hsv[..., 1], hsv[..., 2]
    opaque = rgba[..., 3] > 128  # noqa: PLR2004 -- half of a byte
    pale = bool(opaque.any()) and float(saturation[opaque].mean()) < 0.2  # noqa: PLR2004 -- looks grey
    body = np.ones_like(saturation) if pale else np.clip(saturation / 0.35, 0, 1)
    dark = np.clip(value / 0.3, 0, 1)
    shade = value * (1 - body) + np.clip(value * lift, 0, 1) * body
    new = np.stack([np.full_like(value, hue), strength * body * dark, shade], -1)
    rgb = Image.fromarray((new * 255).round().astype(np.uint8), "HSV").convert("RGB")
    return np.concatenate([np.asarray(rgb), rgba[..., 3:]], -1)


def _picture(entry: dict[str, object], path: Path) -> Picture:
    label, tags = str(entry["label"]), [str(tag) for tag in entry.get("tags", [])]  # type: ignore[attr-defined] # JSON
    words, others = words_of(label, tags)
    rgba = np.asarray(Image.open(path).convert("RGBA").resize((SIDE, SIDE)))
    return Picture(label, words, others, rgba)


def _code(unified: str) -> str:
    return unified.replace("-FE0F", "")


def _fetch(package: str, into: Path) -> None:
    into.mkdir(parents=True)
    listed = subprocess.run(  # noqa: S603 -- fixed arguments
        ["npm", "pack", "--json", package],  # noqa: S607 -- npm is where the user has it
        cwd=into,
        check=True,
        capture_output=True,
    )
    archive = into / json.loads(listed.stdout)[0]["filename"]
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            member.name = member.name.removeprefix("package/")
            if member.name.startswith(("img/google/64/", "emoji.json", "en/", "LICENSE", "README")):
                packed.extract(member, into, filter="data")
    archive.unlink()
