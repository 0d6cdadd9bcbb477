"""docs/models.md says the truth: a run trains, tries what it has trained on somebody's rows, and routes to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from headrace.engines.digits.data import SHADES, split
from headrace.testkit.client import User
from headrace.testkit.packages import files_of, lay_out
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
PAGE: Final = Path(__file__).parents[2] / "docs" / "models.md"
SEED: Final = 3
HELD_OUT: Final = split(0.2, SEED)  # as the training splits: it has seen none of these
ROWS: Final = (HELD_OUT.held_out[:100] * SHADES).round().tolist()
TRUTH: Final = HELD_OUT.held_out_digits[:100].tolist()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    package = tmp_path_factory.mktemp("package")
    lay_out(package, files_of(PAGE))
    settings = {"ENGINES": "sklearn-train,sklearn-serve", "PYTHONPATH": str(package)}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


async def ran(user: User, **fields: Any) -> dict[str, Any]:
    given = {"rows": ROWS, "truth": TRUTH, "least": 0.9, "seed": SEED, **fields}
    begun = await user.http.post("/runs", json={"pipeline": "learn-digits", "input": given})
    assert begun.is_success, begun.text

    async def over() -> dict[str, Any] | None:
        now: dict[str, Any] = (await user.http.get(f"/runs/{begun.json()['id']}")).json()
        return now if now["state"] in {"succeeded", "failed", "cancelled"} else None

    ended = await eventually(over, within=120, every=0.2)
    assert ended is not None
    return ended


async def told(user: User, path: str) -> Any:
    return (await user.http.get(path)).raise_for_status().json()


async def test_a_run_trains_tries_and_routes_and_what_is_worse_gets_no_job(user: User) -> None:
    good = await ran(user)
    poor = await ran(user, epochs=1)
    better = await ran(user, epochs=60, least=0.95)

    train, evaluate, promote = (stage["pieces"][0] for stage in good["stages"])
    tried = await user.get({"id": evaluate["job"]})
    assert good["state"] == "succeeded", good
    assert evaluate["output"]["accuracy"] > 0.9
    assert tried["model"] == "digits@1"
    assert promote["output"] == {"model": "digits@1", "version": 1, "route": 2}

    poorly = poor["stages"][1]["pieces"][0]["output"]["accuracy"]
    assert (poor["state"], poor["error"]["stage"]) == ("failed", "promote")
    assert poor["error"]["message"] == (
        f"digits@2 is not promoted: its value {poorly} is less than 0.9"
    )

    model = await told(user, "/models/digits")
    assert better["state"] == "succeeded", better
    assert (model["latest"], model["route"]["weights"]) == (3, {"3": 1.0})
    assert (model["route"]["how"], model["route"]["changed_by"]) == (
        "promoted",
        f"run {better['id']}",
    )
    versions = (await told(user, "/models/digits/versions"))["versions"]
    assert versions[-1]["job"] == train["job"]

    back = await user.http.post("/models/digits/rollback", json={})
    assert back.json()["route"]["weights"] == {"1": 1.0}
