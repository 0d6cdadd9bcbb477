"""OpenAI's API: what becomes of work that takes too long, is left, or is come back to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.contracts.frames import Token
from headrace.contracts.ids import JobId
from headrace.core.ports.store import Store
from headrace.testkit.asking import (
    CHAT,
    RED,
    SOUP,
    TALL,
    client_of,
    error_of,
    jobs_of,
)
from headrace.testkit.waits import eventually


async def test_an_answer_that_takes_too_long_is_given_up(
    deps: ApiDeps, http: httpx.AsyncClient
) -> None:
    hasty = replace(deps, limits=replace(deps.limits, answer_s=0.2))

    async with client_of(hasty) as client:
        ended = await client.post(CHAT, json=TALL)
        kept = await client.post(CHAT, json={**TALL, "on_disconnect": "continue"})

    assert error_of(ended)[:2] == error_of(kept)[:2] == (504, "timeout")
    asked = {job.id: job.cancel_asked_at for job in await jobs_of(deps.store)}
    assert asked[JobId(ended.headers["x-headrace-job"])] is not None
    assert asked[JobId(kept.headers["x-headrace-job"])] is None


@pytest.mark.parametrize("in_pieces", [True, False], ids=["in pieces", "at once"])
@pytest.mark.parametrize(
    ("policy", "asked_to_end"), [({}, True), ({"on_disconnect": "continue"}, False)],
    ids=["by itself", "told to go on"],
)  # fmt: skip
async def test_who_leaves_takes_the_work_along_unless_told_otherwise(
    live: httpx.AsyncClient, store: Store, in_pieces: bool, policy: Any, asked_to_end: bool
) -> None:
    asked = {**TALL, "n": 2, "stream": in_pieces, **policy}

    async with asyncio.TaskGroup() as group:
        call = group.create_task(live.post(CHAT, json=asked, headers=RED))
        await eventually(lambda: are(store, lambda job: job.state == "queued"))
        call.cancel()
    left = await jobs_of(store)

    if asked_to_end:
        await eventually(lambda: are(store, lambda job: job.cancel_reason == "disconnected"))
    else:
        assert [job.cancel_asked_at for job in left] == [None, None]
    assert {job.spec.cancel_after_s for job in left} == ({0.0} if asked_to_end else {None})


async def are(store: Store, so: Callable[[Any], bool]) -> bool:
    """Both jobs."""
    return [so(job) for job in await jobs_of(store)] == [True, True]


async def test_what_was_left_is_resumed_by_the_jobs_own_stream(
    live: httpx.AsyncClient, store: Store, backstage: Any
) -> None:
    asked = {**TALL, "stream": True, "on_disconnect": {"cancel_after": 60}}
    async with live.stream("POST", CHAT, json=asked, headers=RED) as response:
        job, position = response.headers["x-headrace-job"], ""
        await backstage.start(job)
        await backstage.say(job, Token("so"))
        async for line in response.aiter_lines():
            position = line.removeprefix("id: ") if line.startswith("id: ") else ""
            if position:
                break
    await backstage.say(job, Token("up"))
    await backstage.finish(job, SOUP)

    rest = await live.get(f"/jobs/{job}/events", params={"after": position}, headers=RED)

    assert '{"type":"token","text":"up"}' in rest.text
    assert '"so"' not in rest.text


async def test_a_stream_says_in_its_form_that_the_server_stops(
    live: httpx.AsyncClient, server: Any, store: Store
) -> None:
    async with live.stream("POST", CHAT, json={**TALL, "stream": True}, headers=RED) as response:
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("data: "):
            pass
        server.stop.set()
        rest = [line async for line in lines if line.startswith("data: ")]

    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "stopping"
    assert [job.cancel_asked_at for job in await jobs_of(store)] == [None], "it may be come back to"
