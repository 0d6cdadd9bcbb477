"""From settings and installed engines to the lanes of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from headrace.contracts.ids import Lane
from headrace.engines.registry import Survey
from headrace.gpu_worker.opening import choose_lanes
from headrace.testkit.hoard import FORMAT, MIB, HoardEngine
from headrace.wiring.settings import Settings


class Serving(HoardEngine):
    """Has no model of its own."""

    models: ClassVar[Sequence[str]] = ()


def test_an_engine_without_models_of_its_own_waits_for_artefacts_with_the_memory_it_is_given() -> (
    None
):
    settings = Settings(model_memory_mib={"serve": 100}, slots={"serve": 4})

    (lane,) = choose_lanes(settings, Survey(present={Lane("serve"): Serving}), {})

    assert lane.preload is None
    assert (lane.card.models, lane.card.formats) == ([], [FORMAT])
    assert lane.model_bytes == 25 * MIB
