"""Composes training scenes: one or two emoji, recoloured, turned, sized, on a named background.

Each scene comes with the words that describe it, so that a prompt may ask for combinations that no
emoji has: a green cat, a small rocket at night, a pink elephant and a blue dog.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from emoji_flow.pictures import SIDE, TINTS, Picture, tinted
from headrace.engines.image.words import BACKGROUNDS, COLOURS, WORDS_PER_HALF, Scene, Vocabulary

_PLAIN: Final = {
    "red": (0.86, 0.22, 0.20),
    "orange": (0.97, 0.58, 0.16),
    "yellow": (0.99, 0.86, 0.30),
    "green": (0.30, 0.69, 0.35),
    "blue": (0.25, 0.52, 0.92),
    "purple": (0.55, 0.33, 0.78),
    "pink": (0.98, 0.66, 0.78),
    "brown": (0.50, 0.34, 0.24),
    "grey": (0.60, 0.62, 0.65),
    "black": (0.08, 0.08, 0.10),
    "white": (1.0, 1.0, 1.0),
}
_TWO_SUBJECTS: Final = 0.2
_NAMED_BACKGROUND: Final = 0.5
_TINTED: Final = 0.25
_WHOLE_NAME, _PART_OF_NAME, _WITH_TAGS = 0.6, 0.15, 0.15  # else tags alone
_SMALL, _BIG, _MIRRORED, _UPSIDE_DOWN, _TILTED = 0.1, 0.08, 0.08, 0.05, 0.06
_FINE_TO_SHRINK: Final = 0.7  # below this scale, sampling the full picture would alias
_UNTOLD: Final = 0.1  # no words at all, which guidance needs to compare with


@dataclass(slots=True)
class Layer:
    """One emoji in a scene: which picture, in which tint, where, how large and how turned."""

    subject: int
    tint: int = 0
    x: float = 0.0
    y: float = 0.0
    scale: float = 0.86
    angle: float = 0.0
    mirrored: bool = False
    upside_down: bool = False
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class Batch:
    pictures: Tensor
    ids: Tensor
    weights: Tensor
    scenes: list[Scene] = field(default_factory=list)


class Composer:
    """Draws batches of scenes, always the same ones for the same seed."""

    def __init__(self, pictures: Sequence[Picture], vocabulary: Vocabulary, seed: int) -> None:
        self.pictures, self.vocabulary = pictures, vocabulary
        self.chance = random.Random(seed)
        tints = [None, *TINTS]
        bank = [[p.rgba if t is None else tinted(p.rgba, t) for p in pictures] for t in tints]
        self.bank = torch.from_numpy(np.asarray(bank)).permute(0, 1, 4, 2, 3).contiguous()

    def batch(self, size: int) -> Batch:
        scenes, layers, owners = [], [], []
        for number in range(size):
            drawn, scene = self._scene()
            scenes.append(scene)
            layers += drawn
            owners += [number] * len(drawn)
        canvas = torch.stack([self._background(scene.background) for scene in scenes])
        told = [Scene(()) if self.chance.random() < _UNTOLD else scene for scene in scenes]
        encoded = [self.vocabulary.encode(scene) for scene in told]
        return Batch(
            pictures=self._paint(canvas, layers, owners) * 2 - 1,
            ids=torch.from_numpy(np.stack([e.ids for e in encoded])),
            weights=torch.from_numpy(np.stack([e.weights for e in encoded])),
            scenes=scenes,
        )

    def _scene(self) -> tuple[list[Layer], Scene]:
        two = self.chance.random() < _TWO_SUBJECTS
        layers = (
            [self._layer(0.48, -0.5), self._layer(0.48, 0.5)] if two else [self._layer(0.86, 0.0)]
        )
        named = self.chance.random() < _NAMED_BACKGROUND
        background = self.chance.choice(BACKGROUNDS) if named else None
        return layers, Scene(tuple(layer.words for layer in layers), background)

    def _layer(self, scale: float, x: float) -> Layer:
        chance = self.chance
        layer = Layer(chance.randrange(len(self.pictures)))
        words = self._describe(self.pictures[layer.subject])
        if chance.random() < _TINTED:
            layer.tint = chance.randrange(len(TINTS)) + 1
            words = [*(word for word in words if word not in COLOURS), list(TINTS)[layer.tint - 1]]
        words += self._turn(layer, scale)
        layer.x = x + chance.uniform(-0.05, 0.05)
        layer.y = chance.uniform(-0.05, 0.05)
        layer.words = tuple(dict.fromkeys(words))[: WORDS_PER_HALF - 2]
        return layer

    def _describe(self, picture: Picture) -> list[str]:
        """Mostly its whole name; at times a part of it, or another word people use."""
        chance, dice = self.chance, self.chance.random()
        words = list(picture.words)
        if dice < _WHOLE_NAME or (len(words) == 1 and not picture.tags):
            return words
        some = chance.sample(words, chance.randint(1, len(words)))
        tags = chance.sample(picture.tags, min(len(picture.tags), chance.randint(1, 2)))
        if dice < _WHOLE_NAME + _PART_OF_NAME:
            return some
        told_both = dice < _WHOLE_NAME + _PART_OF_NAME + _WITH_TAGS
        return [*some, *tags] if told_both else (tags or some)

    def _turn(self, layer: Layer, scale: float) -> list[str]:
        chance, words = self.chance, []
        layer.scale = scale * chance.uniform(0.94, 1.06)
        layer.angle = chance.uniform(-0.05, 0.05)
        if (dice := chance.random()) < _SMALL:
            layer.scale *= 0.58
            words.append("small")
        elif dice > 1 - _BIG:
            layer.scale *= 1.17
            words.append("big")
        if chance.random() < _MIRRORED:
            layer.mirrored = True
            words.append("mirrored")
        if chance.random() < _UPSIDE_DOWN:
            layer.upside_down = True
            words.append("upside-down")
        if chance.random() < _TILTED:
            layer.angle = 0.6
            words.append("tilted")
        return words

    def _background(self, name: str | None) -> Tensor:
        down = torch.linspace(0, 1, SIDE).view(1, SIDE, 1).expand(3, SIDE, SIDE)
        if name == "night":
            sky = _blend(down, (0.04, 0.05, 0.20), (0.16, 0.20, 0.45))
            for _ in range(14):
                sky[:, self.chance.randrange(SIDE), self.chance.randrange(SIDE)] = 0.95
            return sky
        if name == "sunset":
            upper = _blend((down * 2).clamp(0, 1), (0.45, 0.25, 0.60), (0.96, 0.45, 0.40))
            return _blend_into(upper, (1.0, 0.82, 0.45), (down * 2 - 1).clamp(0, 1))
        if name == "rainbow":
            phase = torch.tensor([0.0, 2.1, 4.2]).view(3, 1, 1)
            return 0.72 + 0.28 * torch.cos(down.transpose(1, 2) * 5.2 - phase)
        colour = torch.tensor(_PLAIN[name or "white"]).view(3, 1, 1)
        wobble = 0.0 if name in (None, "white") else self.chance.uniform(-0.04, 0.04)
        return (colour + wobble).clamp(0, 1).expand(3, SIDE, SIDE).clone()

    def _paint(self, canvas: Tensor, layers: list[Layer], owners: list[int]) -> Tensor:
        tints = torch.tensor([layer.tint for layer in layers])
        subjects = torch.tensor([layer.subject for layer in layers])
        rgba = self.bank[tints, subjects].float() / 255
        rgba[:, :3] *= rgba[:, 3:]  # colour times cover, or edges fetch colour from what is clear
        grid = functional.affine_grid(
            torch.stack([_pose(layer) for layer in layers]),
            [len(layers), 4, SIDE, SIDE],
            align_corners=False,
        )
        drawn = functional.grid_sample(rgba, grid, align_corners=False)
        shrunk = [n for n, layer in enumerate(layers) if layer.scale < _FINE_TO_SHRINK]
        for small in shrunk:
            half = functional.avg_pool2d(rgba[small : small + 1], 2)
            drawn[small] = functional.grid_sample(
                half, grid[small : small + 1], align_corners=False
            )[0]
        for number, owner in enumerate(owners):
            canvas[owner] = drawn[number, :3] + canvas[owner] * (1 - drawn[number, 3:])
        return canvas


def _pose(layer: Layer) -> Tensor:
    """Where each place of the canvas lies in the picture: the pose, backwards."""
    cos, sin = math.cos(layer.angle) / layer.scale, math.sin(layer.angle) / layer.scale
    across, along = (-1 if layer.mirrored else 1), (-1 if layer.upside_down else 1)
    turn = torch.tensor([[across * cos, across * sin], [-along * sin, along * cos]])
    return torch.cat([turn, -turn @ torch.tensor([[layer.x], [layer.y]])], 1)


def _blend(amount: Tensor, start: Sequence[float], end: Sequence[float]) -> Tensor:
    return _blend_into(torch.tensor(start).view(3, 1, 1).expand_as(amount), end, amount)


def _blend_into(ground: Tensor, colour: Sequence[float], amount: Tensor) -> Tensor:
    return ground * (1 - amount) + torch.tensor(colour).view(3, 1, 1) * amount
