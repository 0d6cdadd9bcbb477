"""`headrace runs` and what deletes, against a real system."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.launch.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
CHAIN = {"pipeline": "chain", "input": {"text": "one two"}}


async def test_a_run_is_watched_shown_listed_and_deleted(inside: Command, client: Client) -> None:
    run = (await client.ask("POST", "/runs", json=CHAIN))["id"]

    watched = await inside("runs", "watch", run)
    shown = await inside("runs", "show", run)
    listed = await inside("runs", COLUMNS="120")
    deleted = await inside("runs", "delete", run)

    assert (watched.code, f"Run {run} succeeded." in watched.out) == (0, True)
    assert "first succeeded 100 % · next succeeded 100 %" in watched.out
    assert "succeeded (100 %)" in shown.out
    (line,) = [line for line in listed.out.splitlines() if line.startswith(run)]
    assert "chain" in line
    assert "1 runs" in deleted.out
    assert (await inside("runs", "show", run)).code == 2


async def test_a_run_is_cancelled_and_its_end_is_the_exit_code(
    inside: Command, client: Client
) -> None:
    slow = {"pipeline": "chain", "input": {"text": "x " * 2000}}
    run = (await client.ask("POST", "/runs", json=slow))["id"]

    cancelled = await inside("runs", "cancel", run)
    watched = await inside("runs", "watch", run, "--json")

    assert f"Run {run} is cancel" in cancelled.out
    assert json.loads(watched.out)["state"] == "cancelled"
    assert watched.code == 3


async def test_a_job_is_deleted_and_its_receipt_printed(inside: Command, client: Client) -> None:
    job = (await client.submit({"kind": "echo", "input": {"text": "x"}}))["id"]

    first = await inside("delete", job, "--cancel")
    again = await inside("delete", job, "--json")

    assert f"job {job}: removed" in first.out
    assert json.loads(again.out)["subject"] == f"job {job}"
    assert (await inside("delete", "00000000-0000-4000-8000-000000000000")).code == 2


async def test_of_a_run_that_there_is_not_it_is_told(inside: Command) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"

    for words in (("show",), ("watch",), ("cancel",), ("delete",)):
        assert (await inside("runs", *words, nobody)).code == 2
    assert (await inside("runs", "retry", nobody, "image")).code == 2


async def test_all_that_a_tenant_has_is_not_deleted_by_accident(inside: Command) -> None:
    refused = await inside("tenants", "delete-data", "local")

    assert refused.code == 2
    assert "--yes" in refused.err
