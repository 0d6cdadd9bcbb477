"""The official `openai` client, unmodified and in an environment of its own, in both modes with real models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.environments import python_with, ran
from headrace.testkit.system import Mode, System, running
from headrace.testkit.upstream import Script, ScriptedServer, chunk, scripted_server
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
STORY: Final = Path(__file__).with_name("openai_client") / "story.py"
CLIENT: Final = "openai>=2,<5"
INSTALL_S: Final = 120.0
KEY: Final = "a-key-of-22-characters"
SCRIPTED: Final = "scripted"
HELLO: Final = {"model": SCRIPTED, "messages": [{"role": "user", "content": "hello"}]}
ENDLESS: Final = Script(events=[chunk("well")], end="hang")
PARIS: Final = "The capital of France is Paris."


@dataclass(frozen=True)
class Told:
    """What the client's story came to, and the system that it was told to."""

    story: dict[str, Any]
    user: User

    def __getitem__(self, part: str) -> Any:
        return self.story[part]


@pytest.fixture(scope="module")
def model() -> Any:
    with scripted_server(ENDLESS) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory, model: ScriptedServer
) -> AsyncGenerator[System]:
    async with running(
        mode,
        tmp_path_factory.mktemp(mode),
        kinds=4,
        ENGINES="smollm2,minilm,emoji-flow,upstream",
        SLOTS="upstream=2",
        API_KEYS=f"red:{KEY}",
        LEASE_S="30",
        UPSTREAM_URL=model.url,
        UPSTREAM_MODELS=SCRIPTED,
    ) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the client and nothing of ours."""
    return await python_with(CLIENT, tmp_path_factory.mktemp("client"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(system: System, client: Path) -> AsyncGenerator[Told]:
    story = json.loads(await ran(str(client), "-I", str(STORY), f"{system.url}/v1", KEY))
    async with httpx.AsyncClient(
        base_url=system.url, headers=system.auth, trust_env=False, timeout=20
    ) as http:
        yield Told(story, User(http))


async def test_a_chat_is_answered_and_its_job_is_named(told: Told) -> None:
    chat = told["chat"]

    assert (chat["text"], chat["finish"]) == (PARIS, "stop")
    assert chat["usage"] == {"prompt_tokens": 24, "completion_tokens": 8, "total_tokens": 32}
    assert chat["id"] == f"chatcmpl-{chat['job']}"
    job = await told.user.get({"id": chat["job"]})
    assert job["state"] == "succeeded"


@pytest.mark.parametrize("way", ["chat_in_pieces", "chat_async"])
async def test_the_pieces_make_the_whole(told: Told, way: str) -> None:
    pieces = told[way]

    assert pieces["text"] == told["chat"]["text"]
    assert pieces["pieces"] > 5
    assert (pieces["roles"], pieces["finish"]) == (["assistant"], ["stop"])
    assert pieces["usage"] == told["chat"]["usage"]


async def test_choices_differ_and_come_again_with_the_same_seed(told: Told) -> None:
    choices = told["choices"]

    assert len(set(choices["texts"])) == 2
    assert choices["streamed"] == choices["texts"]
    assert choices["texts"][0] == told["chat"]["text"]
    assert choices["prompt_tokens"] == told["chat"]["usage"]["prompt_tokens"]


async def test_an_answer_keeps_to_a_schema(told: Told) -> None:
    person = told["structured"]

    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


async def test_completions_go_on_from_their_prompts(told: Told) -> None:
    completions = told["completions"]

    assert len(completions["texts"]) == 2
    assert all(completions["texts"])
    assert completions["streamed"] == completions["texts"][0]
    assert completions["usage"]["completion_tokens"] == 16


async def test_vectors_are_the_same_in_either_encoding(told: Told) -> None:
    embeddings = told["embeddings"]

    assert embeddings["difference"] < 1e-7
    assert embeddings["dimensions"] == [384, 64]
    assert embeddings["near"] > 0.6
    assert embeddings["far"] < 0.2
    assert embeddings["indices"]
    assert embeddings["usage"]["prompt_tokens"] > 6


async def test_pictures_come_as_base64_and_by_link(told: Told) -> None:
    images = told["images"]

    assert images["base64"] == ["iVBORw0KGgo"] * 2  # a PNG's first bytes
    assert images["fetched"] == b"\x89PNG".hex()
    assert "signature=" in images["link"]


async def test_models_are_listed(told: Told) -> None:
    listed = told["models"]["listed"]

    assert listed == ["all-minilm-l6-v2", "emoji-flow", SCRIPTED, "smollm2-135m-instruct"]
    assert told["models"]["one"] == "smollm2-135m-instruct"


async def test_refusals_are_the_clients_own_errors(told: Told) -> None:
    assert told["refusals"] == {
        "key": ["AuthenticationError", 401, "invalid_api_key", None],
        "model": ["NotFoundError", 404, "model_not_found", "model"],
        "no such model": ["NotFoundError", 404, "model_not_found", "model"],
        "value": ["BadRequestError", 400, "invalid_value", "temperature"],
        "tools": ["BadRequestError", 400, "unsupported_parameter", "tools"],
        "role": ["BadRequestError", 400, "invalid_value", "messages[0].role"],
        "too long": ["BadRequestError", 400, "invalid_value", "messages"],
        "size": ["BadRequestError", 400, "invalid_value", "size"],
        "speech": ["NotFoundError", 404, "unknown_url", None],
    }


async def test_a_stream_that_is_left_ends_its_job(told: Told) -> None:
    job = {"id": told["left_early"]}

    async def over() -> bool:
        return bool((await told.user.get(job))["state"] == "cancelled")

    await eventually(over, within=20)
    assert (await told.user.get(job, "/timeline"))["cancel_reason"] == "disconnected"


async def test_a_stop_really_frees_the_worker(told: Told, model: ScriptedServer) -> None:
    """The model's server is hung up on, which is what frees a GPU behind it."""
    http = told.user.http
    model.left.clear()
    async with http.stream(
        "POST", "/v1/chat/completions", json={**HELLO, "stream": True}
    ) as answer:
        async for line in answer.aiter_lines():
            if '"content":"well"' in line:
                break

    assert await asyncio.to_thread(model.left.wait, 10)


async def test_tools_are_passed_to_the_server_behind(told: Told, model: ScriptedServer) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city":'}}
    rest = {"index": 0, "function": {"arguments": '"Paris"}'}}
    said = [{"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]} for part in (call, rest)]
    model.script = Script(events=[*map(json.dumps, said), chunk(finish="tool_calls"), "[DONE]"])
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]

    answer = await told.user.http.post("/v1/chat/completions", json={**HELLO, "tools": tools})
    model.script = ENDLESS

    (choice,) = answer.json()["choices"]
    assert model.requests[-1]["tools"] == tools
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        }
    ]


async def test_what_is_told_to_go_on_is_resumed_elsewhere(
    told: Told, model: ScriptedServer
) -> None:
    http = told.user.http
    asked = {**HELLO, "stream": True, "on_disconnect": {"cancel_after": 60}}
    async with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        job = {"id": answer.headers["x-headrace-job"]}
        async for line in answer.aiter_lines():
            if '"content":"well"' in line:
                break

    seen = await told.user.until(job, "token")
    await told.user.cancel(job)

    assert seen.frame.text == "well"  # type: ignore[union-attr]  # it is a token
