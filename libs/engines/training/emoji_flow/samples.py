"""Shows and measures what the shipped model draws: a sheet of samples, and how many are what was asked.

`python -m emoji_flow.samples SHEET.png`. A drawing counts as right when, of all the pictures that
were taught, the one asked for is the nearest to it, pixel by pixel.
"""

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from emoji_flow.pictures import Picture, load
from headrace.engines.image.sampler import NATIVE, EmojiFlow, Pixels

ACROSS: Final = 8
LARGE: Final = 112
SEED: Final = 7
GUIDANCE: Final = 3.0


def main() -> None:
    args = _arguments()
    flow = EmojiFlow(files("headrace.engines.image") / "weights")
    prompts = (Path(__file__).parent / "prompts.txt").read_text().splitlines()
    sheet(flow, prompts).save(args.sheet, optimize=True)
    if args.measure:
        pictures = load(args.cache)
        ranks = np.array(measured(flow, pictures))
        right, near = (ranks == 0).mean(), (ranks < args.near).mean()
        print(f"{len(ranks)} names: nearest {right:.0%}, among the nearest {args.near} {near:.0%}")


def sheet(flow: EmojiFlow, prompts: list[str]) -> Image.Image:
    rows = -(-len(prompts) // ACROSS)
    paper = Image.new("RGB", (ACROSS * (LARGE + 8), rows * (LARGE + 32)), "white")
    pen = ImageDraw.Draw(paper)
    for number, prompt in enumerate(prompts):
        x, y = number % ACROSS * (LARGE + 8) + 4, number // ACROSS * (LARGE + 32) + 4
        paper.paste(Image.fromarray(drawn(flow, prompt)).resize((LARGE, LARGE)), (x, y))
        pen.text((x, y + LARGE + 2), _two_lines(prompt), fill="black", spacing=0)
    return paper


def measured(flow: EmojiFlow, pictures: list[Picture]) -> list[int]:
    """For each name, how many other pictures are nearer to what was drawn for it."""
    taught = np.stack([_as_taught(picture) for picture in pictures])
    ranks = []
    for number, picture in enumerate(pictures):
        made = drawn(flow, " ".join(picture.words)).astype(np.float32)
        distance = np.square(taught - made).mean((1, 2, 3))
        ranks.append(int((distance < distance[number]).sum()))
    return ranks


def drawn(flow: EmojiFlow, prompt: str) -> Pixels:
    *_, (_, picture) = flow.draw(prompt, steps=24, guidance=GUIDANCE, seed=SEED)
    return picture


def _as_taught(picture: Picture) -> NDArray[np.float32]:
    """On white, at the usual size, in the middle."""
    emoji = Image.fromarray(picture.rgba).resize((55, 55), Image.Resampling.BICUBIC)
    paper = Image.new("RGB", (NATIVE, NATIVE), "white")
    paper.paste(emoji, (4, 4), emoji)
    return np.asarray(paper).astype(np.float32)


def _two_lines(text: str, width: int = 19) -> str:
    cut = text.rfind(" ", 0, width + 1)
    return text if len(text) <= width or cut < 0 else f"{text[:cut]}\n{text[cut + 1 :]}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/emoji_flow/pictures"))
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--near", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
