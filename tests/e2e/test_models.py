"""A model's story: trained twice, routed 90 to 10, asked a thousand times, compared, and rolled back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio

from headrace.engines.digits.data import SHADES, split
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]
INFERENCES: Final = 1000
AT_ONCE: Final = 8


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"ENGINES": "sklearn-train,sklearn-serve"}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


async def post(user: User, path: str, body: dict[str, Any]) -> Any:
    answer = await user.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def asked_by(user: User, people: Sequence[str]) -> dict[str, str]:
    """The version that each of them was given."""
    gate, given = asyncio.Semaphore(AT_ONCE), {}
    row = (split(0.2, 3).held_out[0] * SHADES).round().tolist()

    async def ask(person: str) -> None:
        wanted = {"model": "digits", "input": {"rows": [row]}, "sticky": person}
        async with gate:
            given[person] = (await post(user, "/jobs/inference", wanted))["model"]

    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(ask(person))
    return given


async def figures(user: User) -> dict[int, dict[str, Any]]:
    found = await user.http.get("/models/digits/performance")
    return {each["version"]: each for each in found.json()["versions"]}


async def test_a_thousand_inferences_are_split_stick_are_compared_and_rolled_back(
    user: User,
) -> None:
    for epochs in (3, 6):
        training = {"input": {"epochs": epochs, "seed": 3}, "register_as": "digits"}
        job = await post(user, "/jobs/training", training)
        assert (await user.watch(job))[-1].type == "succeeded"
    people = [f"person-{n}" for n in range(INFERENCES)]

    routed = await post(user, "/models/digits/route", {"weights": {"1": 90, "2": 10}})
    given = await asked_by(user, people)
    again = await asked_by(user, people[:100])

    split = Counter(given.values())
    assert routed["route"]["shares"] == {"1": 90.0, "2": 10.0}
    assert set(split) == {"digits@1", "digits@2"}
    assert 70 <= split["digits@2"] <= 130  # about three standard deviations
    assert again == {person: given[person] for person in people[:100]}

    async def all_have_ended() -> bool:
        told = await figures(user)
        return sum(each["succeeded"] for each in told.values()) == INFERENCES + 100

    await eventually(all_have_ended, within=240, every=0.5)
    assert {each["failed"] for each in (await figures(user)).values()} == {0}

    back = await post(user, "/models/digits/rollback", {})
    after = await asked_by(user, people[:100])

    assert back["route"]["shares"] == {"1": 100.0}
    assert set(after.values()) == {"digits@1"}
