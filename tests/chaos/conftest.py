"""Servers of the room's own, started once: its tests stop, freeze and kill them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from headrace.testkit.chaos.fault_table import RECOVERED, FaultTable
from headrace.testkit.chaos.rig import House, house_in, recoveries
from headrace.testkit.chaos.settings import run_settings


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    house = house_in(tmp_path_factory.mktemp("house"))
    house.open()
    try:
        yield house
    finally:
        house.close()


@pytest.fixture(autouse=True)
def recovery(tmp_path: Path, record_property: Callable[[str, object], None]) -> Generator[None]:
    """What the rig measured becomes a property of the test."""
    yield
    for each in recoveries(tmp_path):
        record_property(RECOVERED, each)


@pytest.fixture
def seconds() -> float:
    return 60 * run_settings().minutes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", run_settings().seeds)
        metafunc.parametrize("mode", run_settings().modes)


def pytest_configure(config: pytest.Config) -> None:
    path = run_settings().fault_table
    if path is not None and config.cache is not None:
        config.pluginmanager.register(FaultTable(path, config.cache), "fault-table")
