"""Tests of the engines on torch, with tiny models of their own. `make install-torch` makes them run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from headrace.testkit import infra

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("default")
            )  # these libraries warn of themselves
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """Skipped where they are not installed; with `CI` set a failure."""
    lacking = [name for name in ("torch", "transformers", "diffusers") if find_spec(name) is None]
    if lacking:
        infra.without(f"no {', '.join(lacking)}: make install-torch")


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from headrace.testkit.torch_models import make_text_model

    folder = tmp_path_factory.mktemp("text")
    make_text_model(folder, iter(["the river runs to the mill", "a mill stands by the river"]))
    return folder


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from headrace.testkit.torch_models import make_image_model

    folder = tmp_path_factory.mktemp("image")
    make_image_model(folder)
    return folder
