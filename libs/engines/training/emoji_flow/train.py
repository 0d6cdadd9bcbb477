"""Trains the emoji model from nothing: `python -m emoji_flow.train --out FOLDER`.

Rectified flow: the network sees a mix of picture and noise and names the picture; its error counts
as the error of the straight path's speed. Words are left out at times, for guidance.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.optim import AdamW

from emoji_flow.network import EmojiNet, Shape
from emoji_flow.pictures import Picture, load
from emoji_flow.scenes import Batch, Composer
from headrace.engines.image.words import Vocabulary, attribute_words

SEED: Final = 20261121
WARM_UP: Final = 100
# Most of the time is spent where noise reigns: there the words decide, elsewhere the picture itself tells.
CLOCK_MEAN: Final = -1.5
CLOCK_SPREAD: Final = 1.2
NEAREST_TO_PICTURE: Final = 0.05  # beyond it the speed's error would count without limit


def main() -> None:
    args = _arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = load(args.cache)
    vocabulary = vocabulary_of(pictures)
    (args.out / "vocabulary.json").write_text(json.dumps(vocabulary.words, indent=0) + "\n")
    net = EmojiNet(Shape(len(vocabulary))).to(memory_format=torch.channels_last)
    if args.start is not None:
        _take_over(net, vocabulary, args.start)
    count = sum(p.numel() for p in net.parameters())
    print(f"{len(pictures)} pictures, {len(vocabulary)} words, {count} weights", flush=True)
    train(net, Composer(pictures, vocabulary, SEED), args)


@torch.no_grad()
def _take_over(net: EmojiNet, vocabulary: Vocabulary, folder: Path) -> None:
    """Begin with what an earlier run knows, as far as it fits; words are matched by spelling."""
    earlier = torch.load(folder / "average.pt", weights_only=True)["weights"]
    number = {
        word: n for n, word in enumerate(json.loads((folder / "vocabulary.json").read_text()))
    }
    for row, word in enumerate(vocabulary.words):
        if word in number:
            net.words.weight[row] = earlier["words.weight"][number[word]]
    for name, value in net.named_parameters():
        if name != "words.weight" and name in earlier and earlier[name].shape == value.shape:
            value.copy_(earlier[name])


def vocabulary_of(pictures: list[Picture]) -> Vocabulary:
    marks = attribute_words()
    spoken = {word for picture in pictures for word in (*picture.words, *picture.tags)}
    return Vocabulary([*marks, *sorted(spoken - set(marks))])


def train(net: EmojiNet, composer: Composer, args: argparse.Namespace) -> None:
    model = torch.compile(net) if args.compile else net
    optimizer = AdamW(
        net.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    average = {name: value.detach().clone() for name, value in net.named_parameters()}
    begun, recent, step, done = time.monotonic(), 0.0, 0, 0.0
    while done < 1:
        step, spent = step + 1, time.monotonic() - begun
        done = min(1.0, max(step / args.steps, spent / (args.minutes * 60)))
        optimizer.param_groups[0]["lr"] = args.rate * _pace(step, done)
        loss = _loss(model, composer.batch(args.batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _follow(average, net, min(0.9985, (1 + step) / (10 + step)))
        recent += (loss.item() - recent) * max(0.01, 1 / step)
        if step % 50 == 0:
            speed = step * args.batch / spent
            print(f"step {step} loss {recent:.4f} {speed:.0f} pictures/s {spent:.0f} s", flush=True)
        if step % args.keep == 0 or done == 1:
            _keep(args.out, {"step": step, "loss": recent, "weights": average})


def _keep(folder: Path, checkpoint: dict[str, object]) -> None:
    fresh = folder / "average.new"
    torch.save(checkpoint, fresh)
    fresh.rename(folder / "average.pt")  # whole or not at all


def _loss(model: torch.nn.Module, batch: Batch) -> Tensor:
    size = len(batch.pictures)
    clock = torch.sigmoid(torch.randn(size) * CLOCK_SPREAD + CLOCK_MEAN)
    share = clock.view(-1, 1, 1, 1)
    noisy = share * batch.pictures + (1 - share) * torch.randn_like(batch.pictures)
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        seen = model(noisy, clock, batch.ids, batch.weights)
    error = (seen.float() - batch.pictures) / (1 - share).clamp(min=NEAREST_TO_PICTURE)
    return error.square().mean()


def _pace(step: int, done: float) -> float:
    """Warm up, hold, then come down over the last half: a checkpoint midway is usable too."""
    warm = min(1.0, step / WARM_UP)
    return warm * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) * 2)))


@torch.no_grad()
def _follow(average: dict[str, Tensor], net: EmojiNet, decay: float) -> None:
    for name, value in net.named_parameters():
        average[name].lerp_(value, 1 - decay)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/emoji_flow"))
    parser.add_argument("--cache", type=Path, default=Path("build/emoji_flow/pictures"))
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--keep", type=int, default=250, help="steps between two checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.0006)
    parser.add_argument("--minutes", type=float, default=math.inf, help="be done by then")
    parser.add_argument("--start", type=Path, help="an earlier run's folder to go on from")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
