"""What the protocol's own client said to a running system, said again: the answers have the same form.

`tests/e2e/test_horde_sdk.py` has written the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.unit.api.conftest import Backstage

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_ids
from headrace.contracts.ids import TenantId
from headrace.core.ports.blobs import Blob

GOLDEN = Path(__file__).parents[3] / "golden" / "horde" / "sdk.json"
SAME = ("finished", "done", "faulted", "restarted", "is_possible")
PNG = b"\x89PNG\r\n\x1a\n-and-the-rest"


async def test_the_recorded_exchange_is_answered_in_the_same_form(
    http: httpx.AsyncClient, deps: ApiDeps, backstage: Backstage
) -> None:
    stage = Stage(deps, backstage)
    for said in msgspec.json.decode(GOLDEN.read_bytes()):
        path = stage.path(said)
        if said["answer"] and isinstance(said["answer"], dict) and said["answer"].get("done"):
            await stage.finish(path.rpartition("/")[2], said["answer"]["finished"])
        content = b"" if said["body"] == 0 else msgspec.json.encode(said["body"])
        answer = await http.request(said["method"], path, content=content, headers=said["headers"])

        assert answer.status_code == said["status"], (path, answer.text)
        assert answer.headers["content-type"] == said["media_type"]
        if said["media_type"] == "application/json":
            found = answer.json()
            assert form(found) == form(said["answer"]), path
            stage.note(said["answer"], found)


class Stage:
    """Whose ids stand for the recorded ones, and a worker who ends what the recording says has ended."""

    def __init__(self, deps: ApiDeps, backstage: Backstage) -> None:
        self._deps, self._backstage = deps, backstage
        self._ids: dict[str, str] = {}
        self._pictures: list[str] = []
        self._finished: set[str] = set()

    def path(self, said: dict[str, Any]) -> str:
        path: str = said["path"]
        if "/blobs/" in path:
            return self._pictures.pop(0)
        for old, new in self._ids.items():
            path = path.replace(old, new)
        return path

    def note(self, recorded: Any, found: Any) -> None:
        if isinstance(found, dict) and "id" in found:
            self._ids[recorded["id"]] = found["id"]
        if isinstance(found, dict):
            made = found.get("generations", [])
            self._pictures += [
                each["img"] for each in made if each.get("img", "").startswith("http")
            ]
            assert {name: found.get(name) for name in SAME if found.get("done")} == {
                name: recorded.get(name) for name in SAME if found.get("done")
            }

    async def finish(self, request: str, count: int) -> None:
        if request in self._finished:
            return
        self._finished.add(request)
        blob = await self._deps.blobs.put(TenantId("anyone"), Blob("image/png", PNG))
        for job in job_ids(request, count):
            await self._backstage.start(job)
            await self._backstage.finish(job, {"image": {"blob": blob}, "text": "Paris", "seed": 1})


def form(value: Any) -> Any:
    """Names and types; numbers are numbers, as far as JSON goes; of a list its first."""
    match value:
        case dict():
            return {name: form(each) for name, each in value.items()}
        case list():
            return [form(each) for each in value[:1]]
        case bool() | str() | None:
            return type(value).__name__
        case _:
            assert isinstance(value, int | float)
            return "number"
