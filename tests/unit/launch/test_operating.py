"""What operators do about lanes and tenants, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}


async def test_lanes_say_who_serves_them_and_that_they_are_paused(inside: Command) -> None:
    (before,) = json.loads((await inside("lanes", "--json", **ADMIN)).out)
    await inside("pause", "echo", **ADMIN)
    paused = await inside("lanes", **ADMIN)
    resumed = await inside("resume", "echo", "--json", **ADMIN)

    assert (before["lane"], before["workers"], before["slots"]) == ("echo", 1, 1)
    assert "headrace resume echo" in paused.out
    assert json.loads(resumed.out) == {"lane": "echo", "paused_since": None}


async def test_a_lane_that_nobody_knows_is_not_paused(inside: Command) -> None:
    ran = await inside("pause", "eco", **ADMIN)

    assert (ran.code, ran.err) == (2, "headrace: No lane 'eco'. Known: echo.\n")


async def test_a_tenant_s_terms_are_changed_one_at_a_time(inside: Command) -> None:
    await inside("tenants", "set", "blue", "--weight", "3", "--max-running", "4", **ADMIN)
    told = await inside("tenants", "set", "blue", "--max-running", "none", "--json", **ADMIN)
    shown = await inside("tenants", "show", "blue", **ADMIN)

    assert (json.loads(told.out)["weight"], json.loads(told.out)["max_running"]) == (3, None)
    assert shown.out.splitlines()[0] == "tenant blue"
    assert "no cap" in shown.out


async def test_terms_are_not_set_by_saying_nothing(inside: Command) -> None:
    ran = await inside("tenants", "set", "blue", **ADMIN)

    assert ran.code == 2
    assert "Say what to change" in ran.err


async def test_the_audit_names_the_operator(inside: Command) -> None:
    await inside("pause", "echo", **ADMIN)
    await inside("resume", "echo", **{**ADMIN, "HEADRACE_OPERATOR": "bob"})

    deeds = json.loads((await inside("audit", "--limit", "2", "--json", **ADMIN)).out)
    table = await inside("audit", COLUMNS="80", **ADMIN)

    assert [(each["who"], each["action"]) for each in deeds] == [
        ("bob", "lane.resume"),
        ("ann", "lane.pause"),
    ]
    assert "lane.pause" in table.out


async def test_an_operator_s_name_that_no_header_can_carry_is_refused(inside: Command) -> None:
    ran = await inside("audit", **{**ADMIN, "HEADRACE_OPERATOR": "añn"})

    assert ran.code == 2
    assert "HEADRACE_OPERATOR=añn" in ran.err
