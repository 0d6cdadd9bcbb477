"""A job's log is there for its owner, in order and bounded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headrace.contracts.frames import Log

RED = {"apikey": "key-of-red"}


async def test_it_tells_what_happened_and_what_the_engine_said(
    http: httpx.AsyncClient, backstage: Any, submitted: str
) -> None:
    await backstage.start(submitted)
    await backstage.say(submitted, Log("loading"), Log("working"))
    await backstage.fail(submitted, {"kind": "input", "message": "no such colour"})

    log = (await http.get(f"/jobs/{submitted}/logs", headers=RED)).json()

    assert [(line["source"], line["attempt"], line["text"]) for line in log["lines"]] == [
        ("job", None, "submitted"),
        ("attempt", 1, "started on w1"),
        ("engine", 1, "loading"),
        ("engine", 1, "working"),
        ("attempt", 1, "failed: input: no such colour"),
        ("job", None, "failed: input: no such colour"),
    ]
    assert [line["position"] for line in log["lines"] if line["source"] == "engine"] == [
        "1-2",
        "1-3",
    ]
    assert (log["id"], log["state"], log["left_out"]) == (submitted, "failed", 0)
    assert log["complete"]


async def test_a_wish_to_cancel_stands_where_it_came(
    http: httpx.AsyncClient, backstage: Any, submitted: str
) -> None:
    await backstage.start(submitted)
    await http.post(f"/jobs/{submitted}/cancel", headers=RED)

    log = (await http.get(f"/jobs/{submitted}/logs", headers=RED)).json()

    assert [line["text"] for line in log["lines"]] == [
        "submitted",
        "started on w1",
        "asked to cancel",
    ]


async def test_only_as_many_lines_as_asked_for(
    http: httpx.AsyncClient, backstage: Any, submitted: str
) -> None:
    await backstage.start(submitted)
    await backstage.say(submitted, *(Log(f"{n}") for n in range(10)))

    log = (await http.get(f"/jobs/{submitted}/logs?limit=2", headers=RED)).json()

    assert [line["text"] for line in log["lines"]][-2:] == ["8", "9"]
    assert log["left_out"] == 8


async def test_another_tenants_log_is_not_found(http: httpx.AsyncClient, submitted: str) -> None:
    answer = await http.get(f"/jobs/{submitted}/logs", headers={"apikey": "key-of-blue"})

    assert answer.status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many", "lines=3"])
async def test_a_wrong_question_is_refused(
    http: httpx.AsyncClient, submitted: str, query: str
) -> None:
    answer = await http.get(f"/jobs/{submitted}/logs?{query}", headers=RED)

    assert answer.status_code == 422
