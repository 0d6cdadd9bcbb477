"""Large inputs come in by a client that knows only its protocol; and what is deleted is nowhere any more."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.environments import python_with, ran
from headrace.testkit.system import Mode, System, running
from headrace.testkit.traces_left import kept_blobs, traces_left
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
TUS_CLIENT = "tuspy==1.1.0"
ADMIN = "operators-of-a-test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"SLOTS": "echo=2,sklearn-train=2", "ENGINES": "echo,sklearn-train"}
    operated = {"ADMIN_KEY": ADMIN, "ALLOW_ANONYMOUS": "true"}
    folder = tmp_path_factory.mktemp(mode)
    async with running(mode, folder, kinds=2, **settings, **operated) as system:
        yield system


async def test_a_tus_client_sends_a_file_and_another_goes_on_where_it_ended(
    system: System, user: User, tmp_path: Path
) -> None:
    python = await python_with(TUS_CLIENT, tmp_path / "tus")
    file, data = tmp_path / "large.bin", secrets.token_bytes(3_500_000)
    file.write_bytes(data)

    script = Path(__file__).with_name("tus_client.py")
    key = system.auth.get("apikey", "-")
    said = await ran(str(python), str(script), system.url, key, str(file))

    place, offset = said.split()
    upload = (await user.http.get(place)).json()
    assert int(offset) == len(data)
    assert upload["sha256"] == hashlib.sha256(data).hexdigest()
    assert (await user.http.get(f"/blobs/{upload['blob']}")).content == data


async def test_of_a_deleted_job_nothing_is_left_in_any_table_stream_or_blob(
    system: System, user: User
) -> None:
    zebra = f"zebra-{secrets.token_hex(8)}"
    long = f"{zebra} " * 3_000  # too long for a message: input and result are blobs
    job = await user.submit("echo", input={"text": zebra}, key=f"key {zebra}", labels={"of": zebra})
    large = await user.submit("echo", input={"text": long}, labels={"of": zebra})
    for each in (job, large):
        assert [seen async for seen in user.frames(each)][-1].type == "succeeded"
    assert await traces_left(system, zebra)

    receipt = (await user.http.delete(f"/jobs/{job['id']}")).json()
    wish = await user.http.post("/jobs/delete", json={"labels": {"of": zebra}})

    async def over() -> bool:
        told = await user.http.get(f"/deletions/{wish.json()['id']}")
        return bool(told.json()["state"] == "done")

    await eventually(over, within=20)
    assert receipt["state"] == "done"
    assert await traces_left(system, zebra) == []


async def test_when_a_tenant_goes_its_batches_trainings_and_models_are_nowhere_any_more(
    system: System, user: User
) -> None:
    zebra = f"zebra-{secrets.token_hex(8)}"
    batch = await handed_in(user, zebra)
    training = await checkpointed(user, zebra)
    await registered(user, zebra)
    where = set(await traces_left(system, zebra))
    assert {"jobs", "batches", "batch_items", "model_versions"} <= where

    alone = await user.http.delete(f"/jobs/{batch['job']}")
    operator = {"apikey": ADMIN}
    wish = await user.http.delete("/admin/tenants/local/data", headers=operator)

    async def nothing_is_left() -> bool:
        """Also of what a worker still had to say of the training when it was stopped."""
        told = await user.http.get(f"/admin/deletions/{wish.json()['id']}", headers=operator)
        return bool(told.json()["state"] == "done" and not kept_blobs(system))

    await eventually(nothing_is_left, within=60, every=0.5)
    assert (alone.status_code, alone.json()["batch"]) == (409, batch["id"])
    assert await traces_left(system, zebra) == []
    assert set(await traces_left(system, training["id"])) == {"audit", "erased"}


async def handed_in(user: User, zebra: str) -> dict[str, str]:
    """A batch whose items have ended, and the job of one."""
    item = {"input": {"text": zebra}, "custom_id": zebra, "labels": {"of": zebra}}
    body = {"kind": "echo", "items": [item] * 5, "labels": {"for": zebra}}
    batch = (await user.http.post("/batches", json=body)).raise_for_status().json()
    at = f"/batches/{batch['id']}/results"
    lines = (await user.http.get(at, params={"follow": "true"})).text.splitlines()
    job = json.loads(lines[0])["job"]
    said = {"name": "rating", "value": 4}
    (await user.http.post(f"/jobs/{job}/feedback", json=said)).raise_for_status()
    return {"id": batch["id"], "job": job}


async def checkpointed(user: User, zebra: str) -> dict[str, Any]:
    """A training that goes on, and has left something behind."""
    asked = {"input": {"epochs": 1000, "hidden": [256, 256]}, "labels": {"of": zebra}}
    job: dict[str, Any] = (await user.http.post("/jobs/training", json=asked)).json()

    async def left_something() -> bool:
        return (await user.get(job))["checkpoint"] is not None

    await eventually(left_something, within=60)
    return job


async def registered(user: User, zebra: str) -> None:
    octets = {"content-type": "application/octet-stream"}
    blob = (await user.http.post("/blobs", content=zebra.encode(), headers=octets)).json()["blob"]
    said = {"metrics": {zebra: 1.0}, "parameters": {"of": zebra}, "data": zebra, "note": zebra}
    version = {"artefact": {"blob": blob}, "format": "sklearn-npz", **said}
    (await user.http.post("/models/striped/versions", json=version)).raise_for_status()
