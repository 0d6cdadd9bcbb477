"""Webhooks from the command line: listed, shown and made again, as an operator."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann", "COLUMNS": "200"}


async def test_before_anybody_asked_there_is_nothing_to_see(inside: Command) -> None:
    endpoints = await inside("webhooks", "endpoints", "--tenant", "nobody", **ADMIN)
    deliveries = await inside("webhooks", "--tenant", "nobody", **ADMIN)
    asjson = await inside("webhooks", "--tenant", "nobody", "--json", **ADMIN)

    assert (endpoints.code, deliveries.code) == (0, 0)
    assert "No tenant has set one" in endpoints.out
    assert "No such deliveries" in deliveries.out
    assert json.loads(asjson.out) == []


@pytest.mark.parametrize("verb", ["show", "redeliver"])
async def test_a_delivery_that_there_is_not_is_refused_plainly(inside: Command, verb: str) -> None:
    refused = await inside("webhooks", verb, "nonsense", **ADMIN)
    assert refused.code == 2
    assert "No delivery nonsense" in refused.err


async def test_a_tenant_s_key_does_not_do(inside: Command) -> None:
    refused = await inside("webhooks", HEADRACE_KEY="wrong")
    assert refused.code == 2
