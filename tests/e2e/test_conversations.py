"""A user's story of a conversation, the same in both modes: said, heard as it comes, stopped, read again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from httpx_sse import aconnect_sse

from headrace.testkit.system import Mode, System, free_port, running
from headrace.testkit.upstream import Script, ScriptedServer, chunk, scripted_server
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
ENDS = {"complete", "failed", "cancelled"}
ANSWER = Script(events=[chunk("soup"), chunk(" and"), chunk(" bread", finish="stop"), "[DONE]"])
ENDLESS = Script(events=[chunk("well")], end="hang")


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with scripted_server(ANSWER) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory, model: ScriptedServer
) -> AsyncGenerator[System]:
    async with running(
        mode,
        tmp_path_factory.mktemp(mode),
        ENGINES="upstream",
        UPSTREAM_URL=model.url,
        UPSTREAM_MODELS="scripted",
        CANCEL_GRACE_S="1",
    ) as system:
        yield system


@dataclass
class Talk:
    """One conversation, as a client of one api process has it."""

    http: httpx.AsyncClient
    name: str

    async def say(self, content: str, **more: Any) -> str:
        answer = await self.http.post(
            f"/conversations/{self.name}/messages", json={"content": content, **more}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    async def hear(self, task: str, *, until: set[str] | None = None) -> list[dict[str, Any]]:
        """Chunks to the end of the stream, or to the first of these types."""
        told: list[dict[str, Any]] = []
        async with aconnect_sse(self.http, "GET", f"/stream/{task}", timeout=60) as source:
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                if event.data:
                    told.append({"id": event.id, **json.loads(event.data)})
                    if told[-1]["chunk_type"] in (until or ENDS):
                        return told
        raise AssertionError(f"the stream ended without an end: {told}")

    async def said(self) -> list[tuple[str, Any, str]]:
        answer = await self.http.get(f"/conversations/{self.name}/messages")
        assert answer.status_code == 200, answer.text
        return [(m["role"], m["content"], m["state"]) for m in answer.json()["messages"]]


@pytest_asyncio.fixture(loop_scope="module")
async def talk(system: System, request: pytest.FixtureRequest) -> AsyncGenerator[Talk]:
    name = request.node.originalname.removeprefix("test_")[:40]
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        yield Talk(http, name)


async def test_an_answer_comes_in_chunks_and_is_kept(talk: Talk, model: ScriptedServer) -> None:
    model.script = ANSWER

    task = await talk.say("what is for lunch?")
    told = await talk.hear(task)

    spoken = [each["content"] for each in told if each["chunk_type"] == "text"]
    assert "".join(spoken) == "soup and bread"
    assert [each["chunk_index"] for each in told] == list(range(len(told)))
    assert (told[-1]["chunk_type"], told[-1]["content"]) == ("complete", "soup and bread")
    assert await talk.hear(task) == told, "who comes late gets every chunk"
    assert await talk.said() == [
        ("user", "what is for lunch?", "succeeded"),
        ("assistant", "soup and bread", "succeeded"),
    ]


async def test_the_model_is_told_what_was_said_before(talk: Talk, model: ScriptedServer) -> None:
    model.script = ANSWER
    await talk.hear(await talk.say("what is for lunch?"))

    await talk.hear(await talk.say("and for dinner?"))

    asked = [each["content"] for each in model.requests[-1]["messages"]]
    assert asked[-3:] == ["what is for lunch?", "soup and bread", "and for dinner?"]


async def test_an_answer_is_stopped_by_another_replica(
    talk: Talk, system: System, model: ScriptedServer
) -> None:
    model.script = ENDLESS
    other = await another_replica(system)
    task = await talk.say("tell me everything")
    await talk.hear(task, until={"text"})

    async with httpx.AsyncClient(base_url=other, trust_env=False, timeout=20) as http:
        assert (await http.post(f"/stream/{task}/stop")).status_code == 202
        elsewhere = await Talk(http, talk.name).hear(task)

    assert elsewhere[-1]["chunk_type"] == "cancelled"
    assert (await talk.said())[-1] == ("assistant", None, "cancelled")


async def another_replica(system: System) -> str:
    """In MONOLITH there is one process."""
    if system.mode == "MONOLITH":
        return system.url
    port = free_port()
    await system.start("api@2", PORT=str(port))
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            try:
                return (await http.get("/readyz")).is_success
            except httpx.TransportError:
                return False

    await eventually(answers, within=60)
    return url


async def test_an_answer_goes_on_without_a_listener_unless_told_otherwise(
    talk: Talk, model: ScriptedServer
) -> None:
    model.script = ENDLESS
    leaving = await talk.say("tell me", on_disconnect={"cancel_after": 1})
    staying = await talk.say("tell me")
    for task in (leaving, staying):
        await talk.hear(task, until={"text"})

    async def ended() -> bool:
        job = (await talk.http.get(f"/jobs/{leaving}")).json()
        return bool(job["state"] == "cancelled")

    await eventually(ended, within=60)
    assert (await talk.http.get(f"/jobs/{staying}")).json()["state"] == "running"
    await talk.http.post(f"/stream/{staying}/stop")
    assert (await talk.hear(staying))[-1]["chunk_type"] == "cancelled"
