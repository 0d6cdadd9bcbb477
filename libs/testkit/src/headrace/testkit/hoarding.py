"""Headrace with the engine whose models hold memory: `python -m headrace.testkit.hoarding up`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from headrace.contracts.ids import Lane
from headrace.engines.registry import Survey, card
from headrace.gpu_worker import opening
from headrace.gpu_worker.options import LaneOptions
from headrace.launch.cli import main
from headrace.testkit.hoard import ENGINE, HoardEngine
from headrace.wiring.settings import Settings

MODULE: Final = "headrace.testkit.hoarding"
LANE: Final = Lane("hoard")
PRELOAD: Final = "HOARD_PRELOAD"
MIB: Final = "HOARD_MIB"
LOAD_S: Final = "HOARD_LOAD_S"


def the_hoard_alone(
    settings: Settings, found: Survey, options: Mapping[str, Mapping[str, str]]
) -> list[LaneOptions]:
    told = {"mib": os.environ.get(MIB), "load_s": os.environ.get(LOAD_S)}
    return [
        LaneOptions(
            card=card(LANE, HoardEngine),
            slots=settings.slots.get(LANE, 1),
            preload=os.environ.get(PRELOAD) or None,
            memory_mib=settings.model_memory_mib.get(LANE),
            settings={name: value for name, value in told.items() if value},
            engine=ENGINE,
        )
    ]


if __name__ == "__main__":
    vars(opening)["choose_lanes"] = the_hoard_alone
    main()
