"""Any OpenAI-compatible server as an engine, by URL: vLLM, a llama.cpp server, Ollama.

It is there where an operator gave it a `base_url` and the `models` to announce.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.engine import BadInput, Engine, EngineError, Stopped, TryAgain, Work
from headrace.engines.options import Misconfigured, Options, configured, only, seconds
from headrace.engines.text.asked import (
    Asked,
    ToolMessage,
    check,
    conversation,
    sampling,
    seed_of,
)
from headrace.engines.text.telling import Telling

if TYPE_CHECKING:
    import httpx

_OPTIONS: Final = ("base_url", "models", "api_key", "timeout_s")
_CONNECT_S: Final = 5.0
_LOOK_S: Final = 0.1  # how late it may notice that it shall stop, while the server says nothing
_CALLERS_FAULT: Final = frozenset({400, 413, 422})  # 401, 403 and 404 are for the operator to mend
_BUSY: Final = frozenset({408, 409, 425, 429})
_SERVERS_FAULT: Final = 500
_QUOTED: Final = 500  # characters of a server's complaint that are passed on


class UpstreamInput(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    messages: Annotated[list[ToolMessage], msgspec.Meta(min_length=1, max_length=256)] | None = None
    # None: as the server likes
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=131_072)] | None = 512
    tools: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    def __post_init__(self) -> None:
        check(self, self.messages)
        if self.raw and self.tools:
            raise BadInput("tools", "are for a conversation, not for a raw prompt")


class Refused(EngineError):
    """The server does not want us: a wrong key, an unknown model, or it is no such server."""


class UpstreamEngine:
    """Writes with a language model on another server."""

    kind: ClassVar[str] = "text"
    models: ClassVar[Sequence[str]] = ()
    Input: ClassVar[type[msgspec.Struct]] = UpstreamInput
    requires: ClassVar[Sequence[str]] = ("httpx",)
    base_url: ClassVar[str] = ""
    api_key: ClassVar[str] = ""
    timeout_s: ClassVar[float] = 120.0  # between two signs of life

    @classmethod
    def configure(cls, options: Options) -> type[Engine] | None:
        if not options.get("base_url"):
            return None
        only(options, _OPTIONS)
        return configured(
            cls,
            base_url=_url(options["base_url"]),
            models=_models(options.get("models", "")),
            api_key=options.get("api_key", ""),
            timeout_s=seconds(options, "timeout_s", cls.timeout_s),
        )

    def load(self, model: str) -> None:
        """The server has it loaded, or loads it when asked."""

    def run(self, work: Work[UpstreamInput]) -> dict[str, Any]:
        try:
            return asyncio.run(self._run(work))
        except asyncio.CancelledError:
            work.check()  # says Stopped: that is why it was cancelled
            raise

    async def _run(self, work: Work[UpstreamInput]) -> dict[str, Any]:
        import httpx

        _stop_when_told(work)
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        timeout = httpx.Timeout(self.timeout_s, connect=_CONNECT_S)
        try:
            async with httpx.AsyncClient(
                base_url=self.base_url, headers=headers, timeout=timeout, trust_env=False
            ) as client:
                return await self._answer(client, work)
        except httpx.TransportError as error:
            raise TryAgain(f"{self.base_url}: {str(error) or type(error).__name__}") from error

    async def _answer(self, client: httpx.AsyncClient, work: Work[UpstreamInput]) -> dict[str, Any]:
        given, seed = work.input, seed_of(work.input)
        answer = _Answer(work, seed)
        path = "completions" if given.raw else "chat/completions"
        request = _request(work.model, given, seed)
        async with client.stream("POST", path, json=request) as response:
            if not response.is_success:
                raise _refusal(response.status_code, await response.aread())
            async for chunk in _chunks(response):
                answer.hear(chunk)
        return answer.output()


def _request(model: str, given: UpstreamInput, seed: int) -> dict[str, Any]:
    about_tools = {
        "tools": given.tools or None,
        "tool_choice": given.tool_choice,
        "parallel_tool_calls": given.parallel_tool_calls,
    }
    asked = (
        {"prompt": given.prompt} if given.raw else {"messages": conversation(given, given.messages)}
    )
    return {
        "model": model,
        **asked,
        **sampling(given, seed),
        **{name: value for name, value in about_tools.items() if value is not None},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


class _Answer:
    def __init__(self, work: Work[UpstreamInput], seed: int) -> None:
        self._telling = Telling(work, work.input.max_tokens)
        self._seed = seed
        self._began = time.perf_counter()
        self._first_at: float | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}  # of tools, by index

    def hear(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            raise _refusal(_code(chunk["error"]), msgspec.json.encode(chunk))
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            delta = choice.get("delta") or {}
            if text := delta.get("content") or choice.get("text"):
                self._first_at = self._first_at or time.perf_counter()
                self._telling.piece(text)
            for call in delta.get("tool_calls") or ():
                _add_call(self._calls, call)

    def output(self) -> dict[str, Any]:
        if self._finish_reason is None:
            raise TryAgain("the answer was cut off")
        written = self._usage.get("completion_tokens", self._telling.pieces)
        took = time.perf_counter() - (self._first_at or self._began)
        tokens_per_s = round(written / took, 2)
        self._telling.done(tokens_per_s)
        return {
            "text": self._telling.text,
            **({"tool_calls": list(self._calls.values())} if self._calls else {}),
            "finish_reason": self._reason(),
            "usage": {
                "prompt_tokens": self._usage.get("prompt_tokens"),
                "completion_tokens": written,
            },
            "seed": self._seed,
            "tokens_per_s": tokens_per_s,
        }

    def _reason(self) -> str:
        if self._finish_reason == "length":
            return "length"
        return "tool_calls" if self._calls else "stop"


def _add_call(calls: dict[int, dict[str, Any]], part: dict[str, Any]) -> None:
    """Names come at once, arguments in pieces."""
    told = part.get("function") or {}
    empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    call = calls.setdefault(part.get("index") or 0, empty)
    call["id"] = part.get("id") or call["id"]
    call["function"]["name"] = told.get("name") or call["function"]["name"]
    call["function"]["arguments"] += told.get("arguments") or ""


async def _chunks(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        name, _, data = line.partition(":")
        if name != "data" or data.strip() == "[DONE]":
            continue  # an event's name, a comment that keeps the line alive, the end
        try:
            yield msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise TryAgain(f"not an answer: {data[:_QUOTED]}") from error


def _refusal(status: int, body: bytes) -> EngineError:
    said = f"{status}: {_message(body)}"
    if status in _CALLERS_FAULT:
        return BadInput("input", f"the server refused it with {said}")
    if status in _BUSY or status >= _SERVERS_FAULT:
        return TryAgain(f"the server answered {said}")
    return Refused(f"the server answered {said}")


def _message(body: bytes) -> str:
    try:
        message = msgspec.json.decode(body)["error"]["message"]
    except (msgspec.DecodeError, LookupError, TypeError):
        message = body.decode(errors="replace")
    return str(message)[:_QUOTED]


def _code(error: Any) -> int:
    """The status inside an error that came after the headers; the server's fault where it says none."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else _SERVERS_FAULT


def _stop_when_told(work: Work[UpstreamInput]) -> None:
    """Cancel the task that calls this once the work should end, even while the server is silent."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def look() -> None:
        try:
            work.check()
        except Stopped:
            if task is not None:
                task.cancel()
        else:
            loop.call_later(_LOOK_S, look)

    look()


def _url(text: str) -> str:
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise Misconfigured("base_url", f"is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misconfigured("base_url", f"should look like http://host:port/v1, not {text!r}")
    return str(url)


def _models(text: str) -> tuple[str, ...]:
    models = tuple(name.strip() for name in text.split(",") if name.strip())
    if not models:
        raise Misconfigured("models", "should name the server's models, separated by commas")
    return models
