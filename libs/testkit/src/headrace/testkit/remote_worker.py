"""A remote worker as small as can be: plain HTTP, the protocol's words, nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

MODEL: Final = "a-model-of-nobody-here"
WEBP: Final = b"RIFF\x10\x00\x00\x00WEBP-and-the-rest"
API: Final = "/api/v2"
ADMIN: Final = "a-key-of-operators"


@dataclass
class HttpWorker:
    """It pops, puts, hands in; what it is refused with is told as it came."""

    http: httpx.AsyncClient
    key: dict[str, str]
    name: str
    models: list[str] = field(default_factory=lambda: [MODEL])

    async def pop(self, path: str = "generate/pop") -> dict[str, Any]:
        body = {"name": self.name, "models": self.models, "max_pixels": 1 << 20}
        return (await self.post(path, body)).raise_for_status().json()  # type: ignore[no-any-return]

    async def put(self, job: dict[str, Any], data: bytes = WEBP) -> int:
        """Raw, without a content type."""
        return (await self.http.put(job["r2_upload"], content=data)).status_code

    async def submit(self, job: dict[str, Any], generation: str = "R2") -> httpx.Response:
        body = {"id": job["id"], "generation": generation, "state": "ok", "seed": 7}
        return await self.post("generate/submit", body)

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(f"{API}/{path}", json=body, headers=self.key)


async def worker_key(http: httpx.AsyncClient, tenant: str) -> dict[str, str]:
    """A key as users have: to work with, and to look at themselves. Made by whoever has ADMIN."""
    asked = {"tenant": tenant, "scopes": ["read", "worker"]}
    answer = await http.post("/admin/keys", json=asked, headers={"apikey": ADMIN})
    return {"apikey": answer.raise_for_status().json()["key"]}
