"""A copy of the tree to break rules in, one for each module of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.testkit.trees import Tree, copy_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return copy_tree(Path(__file__).resolve().parents[3], tmp_path_factory.mktemp("tree"))
