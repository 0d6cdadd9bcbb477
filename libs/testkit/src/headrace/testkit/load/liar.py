"""Headrace with an engine that stores another answer than it says: `python -m headrace.testkit.load.liar up`.

A campaign against it has to fail, and to say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import override

from headrace.contracts.ids import Lane
from headrace.engines.echo.engine import EchoEngine, EchoInput
from headrace.engines.engine import Work
from headrace.engines.registry import Survey, card
from headrace.gpu_worker import opening
from headrace.gpu_worker.options import LaneOptions
from headrace.launch.cli import main
from headrace.wiring.settings import Settings

MODULE: Final = "headrace.testkit.load.liar"
LIE: Final = "something else"


class LyingEngine(EchoEngine):
    """Tells its watchers what it was told, and keeps something else."""

    @override
    def run(self, work: Work[EchoInput]) -> dict[str, Any]:
        return {**super().run(work), "text": LIE}


def the_liar_alone(
    settings: Settings, found: Survey, options: Mapping[str, Mapping[str, str]]
) -> list[LaneOptions]:
    return [
        LaneOptions(
            card=card(Lane("echo"), LyingEngine),
            slots=settings.slots.get("echo", 1),
            preload=LyingEngine.models[0],
            engine=f"{MODULE}:LyingEngine",
        )
    ]


if __name__ == "__main__":
    vars(opening)["choose_lanes"] = the_liar_alone
    main()
