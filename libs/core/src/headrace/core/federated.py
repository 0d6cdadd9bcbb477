"""Federated averaging as a pipeline: a round is a stage of each site, and one that takes the mean.

Each site is a lane, so that its jobs come to its own worker. What goes from stage to stage is weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.pipeline import Given, Of, Pipeline, Plain, Source, Stage


def federated(
    name: str, lanes: Sequence[str], rounds: int, averaging: str | None = None
) -> Pipeline:
    """For `check_pipeline` to judge. `averaging`: the lane that takes the mean; None: any of its kind."""
    stages = [
        stage
        for number in range(1, rounds + 1)
        for stage in (*_learning(lanes, number), _averaging(lanes, number, averaging))
    ]
    return Pipeline(
        name=name,
        title=f"{rounds} rounds of learning at {len(lanes)} sites, which share weights alone.",
        takes={"seed": Plain.NUMBER, "epochs": Plain.NUMBER, "learning_rate": Plain.NUMBER},
        optional=("seed", "epochs", "learning_rate"),
        stages=tuple(stages),
    )


def _learning(lanes: Sequence[str], number: int) -> list[Stage]:
    asked: dict[str, Source] = {name: Given(name) for name in ("seed", "epochs", "learning_rate")}
    if number > 1:
        asked["weights"] = Of(f"mean-{number - 1}", "weights")
    return [
        Stage(
            name=f"learn-{number}-{site}",
            kind="federated-learning",
            lane=lane,
            input=asked,
            gives={"update": Plain.OBJECT},
            tries=2,
        )
        for site, lane in enumerate(lanes)
    ]


def _averaging(lanes: Sequence[str], number: int, lane: str | None) -> Stage:
    return Stage(
        name=f"mean-{number}",
        kind="federated-averaging",
        lane=lane,
        input={
            f"site_{site}": Of(f"learn-{number}-{site}", "update") for site in range(len(lanes))
        },
        gives={"weights": Plain.BLOB, "accuracy": Plain.NUMBER},
    )
