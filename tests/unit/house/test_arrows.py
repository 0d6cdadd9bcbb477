"""Each import contract is broken once on purpose, and import-linter names the culprit."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final

import pytest

from headrace.testkit.trees import Tree

# Contract -> the module that breaks it, and how.
PLANTS: Final[Mapping[str, tuple[str, str]]] = {
    "Arrows point down": ("contracts.upward", "import headrace.core.job"),
    "Engines see the contracts alone": ("engines.curious", "import headrace.core.errors"),
    "The producer library carries the contracts and a Redis client, and stands alone": (
        "streams.heavy",
        "import fastapi",
    ),
    "Nobody here leans on the producer library": (
        "adapters.producing",
        "import headrace.streams.line",
    ),
    "The core and the contracts know no technology": ("core.technical", "import redis"),
    "The state machine knows only itself and the contracts": (
        "core.job",
        "import headrace.core.ports.bus",
    ),
    "Only the composition root may name an adapter": (
        "dispatcher.shortcut",
        "import headrace.adapters.bus.inprocess",
    ),
    "Adapters do not lean on each other": (
        "adapters.streams.redis.leaning",
        "import headrace.adapters.bus.rabbitmq",
    ),
    "Only its adapter knows RabbitMQ's driver": ("api.amqp", "import aio_pika"),
    "Only its adapter knows Redis's driver": ("adapters.store.sql.cached", "import redis"),
    "Only the store knows the databases' drivers": ("gpu_worker.rows", "import sqlalchemy"),
    "Only its adapter knows the object store's driver": (
        "adapters.blobs.files.remote",
        "import obstore",
    ),
    "HTTP dialects do not know each other": (
        "api.dialects.left.sideways",
        "import headrace.api.dialects.right.inside",
    ),
    "Dialects see the core, not the wiring": ("api.dialects.wired", "import headrace.wiring"),
    "Models run in the engines alone, and torch nowhere by default": (
        "dispatcher.thinking",
        "import torch",
    ),
    "Production code never imports the testkit": ("wiring.tested", "import pytest"),
    "No cycles among siblings": ("telemetry.here", "import headrace.telemetry.there"),
}
# One more for each layer: up, or to a neighbour.
UPWARDS_AND_SIDEWAYS: Final[Mapping[str, str]] = {
    "core.climbing": "import headrace.adapters.streams.inprocess",
    "adapters.watching": "import headrace.telemetry",
    "telemetry.working": "import headrace.engines",
    "engines.serving": "import headrace.wiring",
    "wiring.starting": "import headrace.api",
    "api.deciding": "import headrace.dispatcher",
    "dispatcher.computing": "import headrace.gpu_worker",
    "gpu_worker.launching": "import headrace.launch",
}
# What the plants above need beside them.
SCENERY: Final[Mapping[str, str]] = {
    "api.dialects.right.inside": "",
    "telemetry.there": "import headrace.telemetry.here",
}


@pytest.fixture(scope="module")
def broken(tree: Tree) -> Mapping[str, str]:
    """What import-linter says under the name of each broken contract."""
    for module, text in (*SCENERY.items(), *UPWARDS_AND_SIDEWAYS.items(), *PLANTS.values()):
        tree.plant(f"headrace.{module}", text)
    said = tree.run("lint-imports", "--no-cache").partition("Broken contracts")[2]
    titles = "|".join(re.escape(name) for name in PLANTS)
    pieces = re.split(rf"^({titles})\n-+\n", said, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_every_contract_has_a_plant(tree: Tree) -> None:
    rules = tomllib.loads((tree.root / "pyproject.toml").read_text())
    contracts = {contract["name"] for contract in rules["tool"]["importlinter"]["contracts"]}

    assert contracts == set(PLANTS)


@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_violation_is_caught_by_its_contract(
    broken: Mapping[str, str], contract: str
) -> None:
    culprit, _ = PLANTS[contract]

    assert _is_named(culprit, broken[contract])


@pytest.mark.parametrize("culprit", UPWARDS_AND_SIDEWAYS)
def test_every_layer_is_held(broken: Mapping[str, str], culprit: str) -> None:
    assert _is_named(culprit, broken["Arrows point down"])


def _is_named(culprit: str, report: str) -> bool:
    return re.search(rf"\.{culprit.rpartition('.')[2]}\b", report) is not None
