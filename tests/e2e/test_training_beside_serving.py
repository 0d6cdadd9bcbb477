"""One worker trains and serves at one time, each lane within its memory: models come and go, the training goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from headrace.engines.digits.mlp import MlpTrainer
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually
from headrace.testkit.work import work_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
ADMIN: Final = {"apikey": "key-of-admin"}
VERSIONS: Final = 10
LIMIT_MIB: Final = 16  # for about seven of these, or the first with the libraries and no other
LARGE: Final = {"epochs": 1, "hidden": [512, 512, 512]}  # weights of 2.2 MiB
LONG: Final = {"epochs": 1000, "hidden": [256, 256]}
ROW: Final = [[0.0] * 64]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {
        "ENGINES": "sklearn-train,sklearn-serve",
        "MODEL_MEMORY_MIB": f"sklearn-serve={LIMIT_MIB}",
        "ENGINE_MEMORY_MIB": "sklearn-train=600,sklearn-serve=300",
        "ADMIN_KEY": ADMIN["apikey"],
        "ALLOW_ANONYMOUS": "true",
    }
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


async def post(user: User, path: str, body: dict[str, Any]) -> Any:
    answer = await user.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def many_versions(user: User) -> None:
    """Of one model: trained once, and registered again and again."""
    job = await post(user, "/jobs/training", {"input": LARGE, "register_as": "large"})
    await user.watch(job)
    first = (await user.http.get("/models/large/versions/1")).json()
    again = {name: first[name] for name in ("artefact", "format", "sha256")}
    for _ in range(VERSIONS - 1):
        await post(user, "/models/large/versions", again)


async def served(user: User, number: int) -> dict[str, Any]:
    """The only attempt at an inference of this version."""
    wanted = {"model": f"large@{number}", "input": {"rows": ROW}}
    job = await post(user, "/jobs/inference", wanted)
    await user.watch(job)
    assert (await user.get(job))["state"] == "succeeded"
    (attempt,) = (await user.get(job, "/timeline"))["attempts"]
    return dict(attempt)


async def held_mib(user: User) -> float:
    """What the models of the serving lane take, as the worker says."""
    answer = await user.http.get("/admin/workers", headers=ADMIN)
    (worker,) = answer.json()["workers"]
    lane = [each for each in worker["models"] or () if each["lane"] == "sklearn-serve"]
    return float(sum(each["memory_bytes"] for each in lane)) / 2**20


async def test_a_training_goes_on_while_its_worker_serves_more_models_than_fit(user: User) -> None:
    await many_versions(user)
    training = await post(user, "/jobs/training", {"input": LONG})

    async def at_work() -> float | None:
        progress: float | None = (await user.get(training))["progress"]
        return progress or None

    before = await eventually(at_work, within=60)
    attempts, held = [], []
    for _ in range(2):
        for number in range(1, VERSIONS + 1):
            attempts.append(await served(user, number))
            held.append(await held_mib(user))
    trained = await user.get(training)
    (trainer,) = (await user.get(training, "/timeline"))["attempts"]
    await user.http.post(f"/jobs/{training['id']}/cancel")

    assert isinstance(before, float)
    assert trained["state"] == "running"
    assert trained["progress"] > before
    assert {each["worker"] for each in attempts} == {trainer["worker"]}
    assert all(each["stages"]["cold"] for each in attempts)  # ten take turns where seven fit
    assert 0 < max(held) <= LIMIT_MIB


def weights() -> bytes:
    """Of a small network, trained here."""
    work = work_for(MlpTrainer, {"epochs": 1})
    output = MlpTrainer().run(work)
    data, _ = work.blobs[output["model"]["artefact"]["blob"]]
    return data


async def test_a_training_that_outgrows_its_lane_ends_alone_while_the_other_serves_on(
    mode: Mode, tmp_path: Path
) -> None:
    settings = {
        "ENGINES": "sklearn-train,sklearn-serve",
        "ENGINE_MEMORY_MIB": "sklearn-train=60",  # it takes 137
        "RETRY_FAILURES": "1",
    }
    async with running(mode, tmp_path, kinds=1, **settings) as system, using(system) as user:
        octets = {"content-type": "application/octet-stream"}
        answer = await user.http.post("/blobs", content=weights(), headers=octets)
        made = {"artefact": {"blob": answer.json()["blob"]}, "format": "sklearn-npz"}
        await post(user, "/models/large/versions", made)
        before = await served(user, 1)
        training = await post(user, "/jobs/training", {"input": LONG})
        meanwhile = [await served(user, 1) for _ in range(5)]
        await user.watch(training)
        after = await served(user, 1)
        ended = await user.get(training)

    assert ended["error"]["kind"] == "resource"
    assert "in this lane 60 MiB are the most" in ended["error"]["message"]
    assert before["stages"]["cold"]
    assert not any(
        each["stages"]["cold"] for each in [*meanwhile, after]
    )  # its child was left alone


@asynccontextmanager
async def using(system: System) -> AsyncGenerator[User]:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        yield User(http)
