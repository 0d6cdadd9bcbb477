"""Whatever a worker sends, it is told what is wrong with it: never a failure of ours, always `{message, rc}`."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest
from tests.unit.api.horde.workers.conftest import RemoteWorker

ID = str(uuid4())
ODD: list[Any] = [
    *(None, "", 0, -1, 2**40, 2**70, 1.5, True, [], {}, "x" * 2000, [None], ["a" * 300]),
    *({"a": {}}, "\u0000", ["\u0000"], "\ud800", "R2", [["a"]], "00000000-0000-0000-0000-000000000000"),
]  # fmt: skip
POP = {"name": "n", "models": ["a"], "priority_usernames": ["a#1"], "threads": 1, "amount": 1}
BODIES: dict[str, dict[str, Any]] = {
    "generate/pop": {**POP, "max_pixels": 64, "blacklist": ["a"], "nsfw": True},
    "generate/text/pop": {**POP, "max_length": 1, "max_context_length": 1},
    "interrogate/pop": {"name": "n", "forms": ["caption"], "max_tiles": 1},
    "generate/submit": {
        "id": ID,
        "generation": "R2",
        "state": "ok",
        "seed": 1,
        "censored": False,
        "gen_metadata": [{"type": "a", "value": "b"}],
    },
    "generate/text/submit": {"id": ID, "generation": "words", "state": "ok"},
    "interrogate/submit": {"id": ID, "result": {"caption": "a"}, "state": "ok"},
    "generate/progress": {"id": ID, "current_step": 1, "total_steps": 2},
}


def is_told(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    body = answer.json()
    if answer.status_code >= 400:
        assert {type(body["message"]), type(body["rc"])} == {str}


@pytest.mark.parametrize("path", BODIES)
async def test_an_odd_body_is_refused_or_understood(worker: RemoteWorker, path: str) -> None:
    usual = BODIES[path]
    for field in usual:
        for odd in ODD:
            body = _encoded({**usual, field: odd})
            is_told(await _post(worker, path, body))
        is_told(await _post(worker, path, _encoded({k: v for k, v in usual.items() if k != field})))
    for body in (b"", b"[]", b"{", b"null", b'"a"', b"\xff"):
        is_told(await _post(worker, path, body))


async def test_an_odd_change_or_preview_is_refused_or_understood(worker: RemoteWorker) -> None:
    await worker.pop()
    me = (await worker.me())["id"]
    for field in ("maintenance", "maintenance_msg", "paused", "info", "name", "team"):
        for odd in ODD:
            headers = {**worker.key, "Content-Type": "application/json"}
            path = f"/api/v2/workers/{me}"
            body = _encoded({field: odd})
            is_told(await worker.http.put(path, content=body, headers=headers))
    for generation in (ID, "no-id", "%00", "a" * 64):
        for step in ("1", "-1", "x", ""):
            is_told(
                await worker.http.post(
                    f"/api/v2/generate/preview/{generation}",
                    content=b"no picture",
                    headers={**worker.key, "X-Step": step},
                )
            )


async def _post(worker: RemoteWorker, path: str, body: bytes) -> httpx.Response:
    headers = {**worker.key, "Content-Type": "application/json"}
    return await worker.http.post(f"/api/v2/{path}", content=body, headers=headers)


def _encoded(body: Any) -> bytes:
    """With lone surrogates, which a decent encoder would refuse."""
    return json.dumps(body).encode()
