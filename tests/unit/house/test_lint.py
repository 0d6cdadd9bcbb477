"""Each banned API and each family of lint rules is broken once on purpose, and ruff says so."""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.testkit.trees import Tree

# Banned name -> a line that uses it.
BANNED: Final[Mapping[str, str]] = {
    "os.environ": "import os\n\nHOME = os.environ['HOME']",
    "os.getenv": "import os\n\nHOME = os.getenv('HOME')",
    "asyncio.create_task": "from asyncio import create_task",
    "asyncio.ensure_future": "from asyncio import ensure_future",
    "asyncio.gather": "from asyncio import gather",
    "asyncio.get_event_loop": "import asyncio\n\nLOOP = asyncio.get_event_loop()",
    "datetime.datetime.now": "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)",
    "datetime.datetime.utcnow": "import datetime\n\nNOW = datetime.datetime.utcnow()",
    "time.time": "import time\n\nNOW = time.time()",
    "uuid.uuid4": "from uuid import uuid4",
    "headrace.wiring.modes.Mode": "from headrace.wiring.modes import Mode",
    "unittest.mock": "from unittest import mock",
}

# Family of rules -> code that breaks one of them.
FAMILIES: Final[Mapping[str, str]] = {
    "E": "ok = None\nif ok == None: pass",
    "F": "import json",
    "W": "TEXT = '\\d'",
    "I": "import sys\nimport ast",
    "N": "def Shout(): ...",
    "UP": "from typing import List\n\nNAMES: List[str] = []",
    "Q": "TEXT = 'single'",
    "ISC": "TEXT = (\n    'one '\n    + 'two'\n)",
    "ICN": "import numpy",
    "D": 'def said():\n    """ said"""',
    "B": "def grow(to=[]): ...",
    "A": "def show(id): ...",
    "C4": "NAMES = list([1])",
    "PIE": "class Empty:\n    x = 1\n    x = 1\n\n    def say(self):\n        'Say.'\n        pass",
    "RET": "def give():\n    x = 1\n    return x",
    "SIM": "def give(x):\n    if x:\n        return True\n    return False",
    "FURB": "x = None\nOK = isinstance(x, type(None))",
    "PERF": "def copy(xs):\n    ys = []\n    for x in xs:\n        ys.append(x + 1)\n    return ys",
    "RUF": "NAMES = [*[1]] + [2]",
    "ASYNC": "import time\n\nasync def wait():\n    time.sleep(1)",
    "BLE": "try:\n    print()\nexcept Exception:\n    x = 1",
    "TRY": "raise Exception('x')",
    "S": "assert 1",
    "DTZ": "import datetime\n\nNOW = datetime.datetime.today()",
    "G": "import logging\n\nlogging.getLogger(__name__).info(f'{1}')",
    "LOG": "import logging\n\nLOG = logging.getLogger(__file__)",
    "T20": "print('x')",
    "PTH": "import os\n\nHERE = os.path.abspath('.')",
    "ARG": "def ignore(what): return 1",
    "ERA": "# x = 1",
    "FBT": "def switch(on: bool): ...",
    "SLF": "import ast\n\nX = ast._x",
    "TID": "from . import x",
    "PGH": "x = 1  # noqa",
    "C90": "def maze(x):\n" + "".join(f"    if x == 'a{n}':\n        x()\n" for n in range(9)),
    "PLC": "x = [1, 2]\nif not len(x): x()",
    "PLE": "def give():\n    return __all__\n\n\n__all__ = [1]",
    "PLR": "def many(a, b, c, d, e, f, g): ...",
    "PLW": "def count():\n    global total\n    total = 1",
    "PT": "import pytest\n\n\n@pytest.fixture()\ndef x(): ...",
}


def _ruff(tree: Tree, *select: str) -> Mapping[str, list[dict[str, Any]]]:
    """Findings by the name of the planted module."""
    found = json.loads(
        tree.run("ruff", "check", "--no-cache", "--output-format=json", *select, ".")
    )
    by_module = defaultdict(list)
    for finding in found:
        by_module[Path(finding["filename"]).stem].append(finding)
    return by_module


@pytest.fixture(scope="module")
def findings(tree: Tree) -> Mapping[str, list[dict[str, Any]]]:
    for number, code in enumerate(BANNED.values()):
        tree.plant(f"headrace.core.banned_{number}", code)
    for family, code in FAMILIES.items():
        tree.plant(f"headrace.core.family_{family.lower()}", code)
    return _ruff(tree)


def _rules(tree: Tree) -> dict[str, Any]:
    settings = tomllib.loads((tree.root / "pyproject.toml").read_text())
    lint: dict[str, Any] = settings["tool"]["ruff"]["lint"]
    return lint


def test_every_banned_name_and_every_family_has_a_plant(tree: Tree) -> None:
    rules = _rules(tree)

    assert set(rules["flake8-tidy-imports"]["banned-api"]) == set(BANNED)
    assert set(rules["select"]) == set(FAMILIES)


@pytest.mark.parametrize("name", BANNED)
def test_a_banned_name_is_caught_with_its_remedy(
    tree: Tree, findings: Mapping[str, list[dict[str, Any]]], name: str
) -> None:
    remedy = _rules(tree)["flake8-tidy-imports"]["banned-api"][name]["msg"]
    said = findings[f"banned_{list(BANNED).index(name)}"]

    assert any(finding["message"] == f"`{name}` is banned: {remedy}" for finding in said)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_rules_is_on(findings: Mapping[str, list[dict[str, Any]]], family: str) -> None:
    codes = {finding["code"] for finding in findings[f"family_{family.lower()}"]}

    assert any(re.fullmatch(rf"{family}\d+", code) for code in codes), codes
