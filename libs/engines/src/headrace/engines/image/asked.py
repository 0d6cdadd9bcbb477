"""What a diffusion pipeline is asked for."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from headrace.engines.engine import BadInput

SEEDS: Final = 2**32

Side = Annotated[int, msgspec.Meta(ge=64, le=2048, multiple_of=8)]


class DiffusersInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    negative_prompt: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=200)] = 30
    # None, here and below: as the pipeline likes
    guidance: Annotated[float, msgspec.Meta(ge=0, le=30)] | None = None
    width: Side | None = None
    height: Side | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, lt=SEEDS)] | None = None  # None: any, and reported
    n: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1  # pictures, of seeds that follow each other

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise BadInput("prompt", "is blank")
