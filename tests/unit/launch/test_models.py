"""Registered models from the command line: registered, routed, promoted, rolled back, retired and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make names of their own

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "weights.npz"
    path.write_bytes(b"weights")
    return str(path)


@pytest.fixture
async def name(inside: Command, weights: str) -> str:
    """A model with two versions."""
    name = f"digits-{uuid4().hex[:8]}"
    for metric in ("accuracy=0.9", "accuracy=0.97"):
        made = await inside(
            "models", "register", name, weights, "--format", "test-weights", "--metric", metric
        )
        assert made.code == 0, made.err
    return name


async def test_a_file_is_registered_and_its_version_told(
    inside: Command, weights: str, name: str
) -> None:
    third = await inside("models", "register", name, weights, "--format", "x", "--note", "third")
    listed = await inside("models", "versions", name, COLUMNS="200")
    asjson = json.loads((await inside("models", "versions", name, "--json")).out)

    assert f"{name}@3 is registered" in third.out
    assert "no job until it is routed" in third.out
    assert "accuracy 0.97" in listed.out
    assert [(each["version"], each["note"]) for each in asjson] == [(3, "third"), (2, ""), (1, "")]


async def test_the_same_key_registers_once(inside: Command, weights: str) -> None:
    name, key = f"once-{uuid4().hex[:8]}", uuid4().hex
    command = ("models", "register", name, weights, "--format", "x", "--idempotency-key", key)

    first, again = await inside(*command, "--json"), await inside(*command, "--json")

    assert json.loads(first.out) == json.loads(again.out)


async def test_a_route_is_shared_out_promoted_taken_back_and_remembered(
    inside: Command, name: str
) -> None:
    routed = await inside("models", "route", name, "1=90,2=10")
    promoted = await inside("models", "promote", name, "2")
    back = await inside("models", "rollback", name)
    history = await inside("models", "history", name, COLUMNS="200")
    registered = await inside("models", "registered", COLUMNS="200")

    assert "1: 90 %, 2: 10 %, from the next job on" in routed.out
    assert "2: 100 %" in promoted.out
    assert "1: 90 %, 2: 10 %" in back.out
    assert "rolled back to 2" in history.out
    assert any(name in line and "1: 90 %, 2: 10 %" in line for line in registered.out.splitlines())


async def test_a_version_is_retired_unless_it_is_routed(inside: Command, name: str) -> None:
    refused = await inside("models", "retire", name, "1")
    gone = await inside("models", "retire", name, "2")

    assert refused.code == 2
    assert "route them elsewhere first" in refused.err
    assert "is given to nobody any more" in gone.out


async def test_how_versions_do_is_told_side_by_side(inside: Command, name: str) -> None:
    told = await inside("models", "performance", name, "--metric", "output.score", COLUMNS="200")
    asjson = await inside("models", "performance", name, "--version", "2", "--json")

    assert f"{name}@1" in told.out
    assert "1 and 2, failure_rate: too few jobs" in told.out
    assert [each["version"] for each in json.loads(asjson.out)["versions"]] == [2]


async def test_an_operator_lets_all_tenants_use_one(inside: Command, name: str) -> None:
    shared = await inside("models", "share", "red", name, **ADMIN)
    alone = await inside("models", "share", "red", name, "--off", **ADMIN)

    assert "every tenant's to use" in shared.out
    assert "its owner's alone" in alone.out


async def test_a_model_that_there_is_not_is_refused_plainly(inside: Command) -> None:
    refused = await inside("models", "promote", "nobody-has-it", "1")

    assert refused.code == 2
    assert "No registered model 'nobody-has-it'" in refused.err
