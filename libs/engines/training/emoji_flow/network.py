"""The network: a small U-Net that looks at a noisy picture and says what the clean one is."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS: Final = (48, 128, 176)
CONDITION: Final = 256
SKETCH: Final = 12  # channels of the rough picture, 16 x 16


@dataclass(frozen=True, slots=True)
class Shape:
    words: int
    widths: tuple[int, int, int] = WIDTHS
    blocks: tuple[int, int, int] = (1, 2, 3)


class EmojiNet(nn.Module):
    """Noisy picture, time and words in; the clean picture out. Time 0 is noise, 1 is the picture.

    The condition has two columns, for the left and the right half of the picture, so that two
    subjects side by side need no more than one subject does.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        low, mid, deep = shape.widths
        one, two, three = shape.blocks
        self.words = nn.Embedding(shape.words, CONDITION)
        nn.init.normal_(self.words.weight, std=0.5)
        self.read = nn.Sequential(
            nn.Linear(CONDITION, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION)
        )
        self.clock = nn.Sequential(
            nn.Linear(64, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION)
        )
        self.enter = nn.Conv2d(12, low, 3, padding=1)
        self.think = nn.Sequential(nn.Linear(CONDITION, CONDITION), nn.SiLU())
        self.sketch = nn.ModuleList(nn.Linear(CONDITION, SKETCH * 16 * 8) for _ in range(2))
        self.ink = nn.Conv2d(SKETCH, mid, 1)
        nn.init.normal_(self.ink.weight, std=0.05)
        self.place = nn.Parameter(torch.zeros(1, mid, 16, 16))
        self.down1 = nn.ModuleList(Block(low) for _ in range(one))
        self.fold1 = nn.Conv2d(low * 4, mid, 1)
        self.down2 = nn.ModuleList(Block(mid) for _ in range(two))
        self.fold2 = nn.Conv2d(mid * 4, deep, 1)
        self.middle = nn.ModuleList(Block(deep) for _ in range(three))
        self.look = Attention(deep)
        self.middle2 = nn.ModuleList(Block(deep) for _ in range(three - 2))
        self.unfold2 = nn.Conv2d(deep, mid * 4, 1)
        self.up2 = nn.ModuleList(Block(mid) for _ in range(two))
        self.unfold1 = nn.Conv2d(mid, low * 4, 1)
        self.up1 = nn.ModuleList(Block(low) for _ in range(one))
        self.leave = nn.Conv2d(low, 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        for unfold in (self.unfold1, self.unfold2):
            nn.init.normal_(unfold.weight, std=0.02)

    def forward(self, noisy: Tensor, time: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        """Shapes: noisy B x 3 x 64 x 64, time B, ids and weights B x 2 x words."""
        told = self.condition(time, ids, weights)
        fine = self.enter(functional.pixel_unshuffle(noisy, 2))
        for block in self.down1:
            fine = block(fine, told)
        half = (
            self.fold1(functional.pixel_unshuffle(fine, 2))
            + self.place
            + self.sketched(ids, weights)
        )
        for block in self.down2:
            half = block(half, told)
        deep = self.fold2(functional.pixel_unshuffle(half, 2))
        for block in self.middle:
            deep = block(deep, told)
        deep = self.look(deep)
        for block in self.middle2:
            deep = block(deep, told)
        half = half + functional.pixel_shuffle(self.unfold2(deep), 2)
        for block in self.up2:
            half = block(half, told)
        fine = fine + functional.pixel_shuffle(self.unfold1(half), 2)
        for block in self.up1:
            fine = block(fine, told)
        return functional.pixel_shuffle(self.leave(functional.silu(fine)), 2)

    def condition(self, time: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        """What is known of the time and the words: B x 2 x condition."""
        said = self.said(ids, weights)
        said = said + self.read(said)
        pace = torch.exp(torch.arange(32, device=time.device) * -0.25) * 60.0
        turn = time[:, None] * pace
        ticks = self.clock(torch.cat([turn.sin(), turn.cos()], 1))
        return functional.silu(said + ticks[:, None])

    def said(self, ids: Tensor, weights: Tensor) -> Tensor:
        return (self.words(ids) * weights.unsqueeze(-1)).sum(2)

    def sketched(self, ids: Tensor, weights: Tensor) -> Tensor:
        """A rough picture straight from the words, each half from its own.

        Scales and shifts alone say nothing of where; without a sketch, shapes are learned slowly.
        """
        thought = self.think(self.said(ids, weights))
        left, right = (
            sketch(thought[:, side]).view(-1, SKETCH, 16, 8)
            for side, sketch in enumerate(self.sketch)
        )
        return self.ink(torch.cat([left, right], 3))


class Block(nn.Module):
    """Two convolutions on a shortcut; between them the condition scales and shifts the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(CONDITION, width * 2)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.told.weight)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.norm2(self.conv1(functional.silu(self.norm1(x))))
        # B x 2 x 2C -> B x 2C x 1 x 2, each column spread over its half of the width.
        both = self.told(told).transpose(1, 2).unsqueeze(2)
        scale, shift = both.repeat_interleave(x.shape[3] // 2, 3).chunk(2, 1)
        return x + self.conv2(functional.silu(h * (1 + scale) + shift))


class Attention(nn.Module):
    """Every place looks at every other, at the coarsest level only."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.ask = nn.Linear(width, width * 3)
        self.answer = nn.Linear(width, width)
        nn.init.zeros_(self.answer.weight)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, high, wide = x.shape
        flat = self.norm(x).flatten(2).transpose(1, 2)
        asked = self.ask(flat).view(batch, high * wide, 3, self.heads, width // self.heads)
        q, k, v = asked.permute(2, 0, 3, 1, 4)
        seen = (
            functional.scaled_dot_product_attention(q, k, v)
            .transpose(1, 2)
            .reshape(batch, -1, width)
        )
        return x + self.answer(seen).transpose(1, 2).reshape(batch, width, high, wide)
