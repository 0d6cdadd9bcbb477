"""From settings and installed engines to the lanes of a worker."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import SecretStr

from headrace.contracts.ids import Lane
from headrace.engines.digits.ddp import DdpTrainer
from headrace.engines.registry import Survey, card
from headrace.gpu_worker.opening import address_for_gangs, choose_lanes, engine_options
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


def test_a_worker_can_be_met_only_where_a_job_may_have_several() -> None:
    eda: dict[str, Any] = {
        "execution_mode": "EDA",
        "rabbitmq_url": SecretStr("amqp://host/"),
        "redis_url": SecretStr("redis://host/"),
    }

    assert address_for_gangs(Settings(**eda)) is None
    assert address_for_gangs(Settings(**eda, gang_nodes=2)) == socket.gethostname()
    named = Settings(**eda, gang_nodes=2, gang_address="10.0.0.7")
    assert address_for_gangs(named) == "10.0.0.7"
    assert engine_options(named)["torch-ddp"]["nodes"] == "2"


def test_an_engines_card_says_how_many_workers_a_job_may_have() -> None:
    said = card(Lane("torch-ddp"), DdpTrainer.configure({"most": "2", "nodes": "3"}))

    assert said.nodes == 3
    assert said.input_schema["properties"]["nodes"]["maximum"] == 3
