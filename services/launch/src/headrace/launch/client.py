"""The api as the command line calls it: plain requests, and a stream that survives lost connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from httpx_sse import aconnect_sse

from headrace.contracts.frames import TERMINAL_TYPES, Frame, decode_frame
from headrace.contracts.ids import Position
from headrace.launch.errors import Refused, Unreachable
from headrace.wiring.settings import LOOPBACK

ANSWER_WITHIN_S: Final = 30.0
CONNECT_WITHIN_S: Final = 5.0
SILENCE_S: Final = 45.0  # the api sends a comment every 15 s: three missed mean a dead connection
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 8.0
PATIENCE_S: Final = 120.0  # without one frame or connection, before giving up on a stream


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame, where it stood, and its bytes."""

    position: Position
    frame: Frame
    data: str


Gap = Callable[[str], None]  # told why the connection was lost, before it is tried again


@asynccontextmanager
async def connected(url: str, key: str = "", *, operator: str = "") -> AsyncGenerator[Client]:
    """Connects with the first request, not here. `operator` is who the audit shall name."""
    said = {"apikey": key, "X-Operator": operator}
    async with httpx.AsyncClient(
        base_url=url,
        headers={name: value for name, value in said.items() if value},
        timeout=httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S),
        trust_env=urlsplit(url).hostname not in LOOPBACK,  # a proxy is no way to this machine
    ) as http:
        yield Client(http, url)


class Client:
    """Every call raises Unreachable or Refused."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http, self.url = http, url

    async def submit(self, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        return await self.ask("POST", "/jobs", json=body, headers=once(key))

    async def retry(self, job: str, *, key: str | None = None) -> dict[str, Any]:
        return await self.ask("POST", f"/jobs/{job}/retry", headers=once(key))

    async def job(self, job: str, part: str = "") -> dict[str, Any]:
        """The record; or with `part` its /status, /result, /timeline or /explain."""
        return await self.ask("GET", f"/jobs/{job}{part}")

    async def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        asked = {name: value for name, value in filters.items() if value is not None}
        page = await self.ask("GET", "/jobs", params=asked)
        jobs: list[dict[str, Any]] = page["jobs"]
        return jobs

    async def statuses(self, jobs: Sequence[str]) -> list[dict[str, Any]]:
        """How several jobs stand, at most 64."""
        answer = await self._send("GET", "/jobs/statuses", params={"id": list(jobs)})
        found: list[dict[str, Any]] = answer.json()
        return found

    async def cancel(self, job: str) -> dict[str, Any]:
        return await self.ask("POST", f"/jobs/{job}/cancel")

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path)

    async def models(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = (await self._send("GET", "/models")).json()
        return models

    async def health(self) -> dict[str, Any]:
        """Also when it is not well."""
        answer = await self._send("GET", "/health", fine=(503,))
        found: dict[str, Any] = answer.json()
        return found

    async def put_blob(self, data: bytes, media_type: str) -> str:
        headers = {"Content-Type": media_type}
        return str((await self.ask("POST", "/blobs", content=data, headers=headers))["blob"])

    async def get_blob(self, blob: str) -> bytes:
        return (await self._send("GET", f"/blobs/{blob}")).content

    async def frames(
        self, job: str, *, on_gap: Gap, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[Seen]:
        """All of a job's frames from its beginning to its end, each once, over however many connections."""
        cursor: Position | None = None
        pauses = Pauses(patience_s)
        while True:
            try:
                async for seen in self._connection(job, cursor):
                    pauses.start_over()
                    cursor = seen.position
                    yield seen
                    if seen.frame.__struct_config__.tag in TERMINAL_TYPES:
                        return
                why = "the server closed the stream"
            except httpx.HTTPError as error:
                why = _plainly(error)
            pause_s = pauses.next()
            if pause_s is None:
                raise Unreachable(self.url, why)
            on_gap(why)
            await asyncio.sleep(pause_s)

    async def results(
        self, batch: str, after: int, *, errors: bool, follow: bool, on_gap: Gap
    ) -> AsyncGenerator[str]:
        """Lines of a batch's results behind a cursor; with `follow` to its end, over however many connections."""
        pauses, over = Pauses(PATIENCE_S), not follow or await self._is_over(batch)
        while True:
            asked = {"after": after, "errors": errors, "follow": not over}
            try:
                async for line in self._lines(f"/batches/{batch}/results", asked):
                    pauses.start_over()
                    after = msgspec.json.decode(line)["cursor"]
                    yield line
                if over:
                    return
                over = await self._is_over(batch)
            except (httpx.HTTPError, Unreachable) as error:
                why = error.why if isinstance(error, Unreachable) else _plainly(error)
                pause_s = pauses.next()
                if pause_s is None:
                    raise Unreachable(self.url, why) from error
                on_gap(why)
                await asyncio.sleep(pause_s)

    async def _is_over(self, batch: str) -> bool:
        return (await self.ask("GET", f"/batches/{batch}"))["finished_at"] is not None

    async def _lines(self, path: str, asked: Mapping[str, Any]) -> AsyncGenerator[str]:
        limits = httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S, read=SILENCE_S)
        async with self._http.stream("GET", path, params=asked, timeout=limits) as answer:
            if answer.is_client_error:
                await answer.aread()
                raise _refused(answer)
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line:
                    yield line

    async def _connection(self, job: str, after: Position | None) -> AsyncGenerator[Seen]:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        path = f"/jobs/{job}/events"
        limits = httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S, read=SILENCE_S)
        async with aconnect_sse(self._http, "GET", path, headers=headers, timeout=limits) as source:
            if source.response.is_client_error:
                await source.response.aread()
                raise _refused(source.response)
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                if event.id and event.data:
                    yield Seen(Position.parse(event.id), _frame(event.data), event.data)

    async def ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        """For what has no method of its own here; `what` is as httpx takes it."""
        answer: dict[str, Any] = (await self._send(method, path, **what)).json()
        return answer

    async def _send(
        self, method: str, path: str, *, fine: tuple[int, ...] = (), **what: Any
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **what)
        except httpx.HTTPError as error:
            raise Unreachable(self.url, _plainly(error)) from error
        if answer.is_error and answer.status_code not in fine:
            raise _refused(answer)
        return answer


def once(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


class Pauses:
    """Between tries: doubling to a cap, with jitter, and none left once patience has run out."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.start_over()

    def start_over(self) -> None:
        self._tries = 0
        self._since: float | None = None

    def next(self) -> float | None:
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if now - self._since > self._patience_s:
            return None
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._tries)
        self._tries = min(self._tries + 1, 10)
        return random.uniform(longest / 2, longest)


def _frame(data: str) -> Frame:
    return decode_frame(data.encode())


def _refused(answer: httpx.Response) -> Refused:
    try:
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:  # not one of ours: a proxy, or another program on that port
        problem = {"title": f"{answer.request.url} answered {answer.status_code}"}
    return Refused(answer.status_code, problem, after=answer.headers.get("Retry-After", ""))


def _plainly(error: httpx.HTTPError) -> str:
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_WITHIN_S:g} s"
        case httpx.ConnectError() if "refused" in str(error) or "attempts failed" in str(error):
            return "nobody listens there"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.HTTPStatusError():
            return f"it answered {error.response.status_code}"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "the connection was lost"
        case _:
            return str(error) or type(error).__name__
