"""The OpenAPI document is complete: every route, every refusal, the frames and the sockets."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from pydantic import BaseModel

from headrace.contracts.frames import Token, encode_frame

PROBLEMS = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
ERRORS_OF_OPENAI = {
    "application/json": {"schema": {"$ref": "#/components/schemas/OpenAiErrorView"}}
}
HORDE = {
    "GET /api/v2/find_user", "GET /api/v2/users", "GET /api/v2/users/{user_id}", "PUT /api/v2/users/{user_id}",
    "POST /api/v2/users/register", "POST /api/v2/kudos/transfer", "PUT /api/v2/sharedkeys",
    "GET /api/v2/sharedkeys/{sharedkey_id}", "PATCH /api/v2/sharedkeys/{sharedkey_id}",
    "DELETE /api/v2/sharedkeys/{sharedkey_id}",
    "POST /api/v2/interrogate/async", "GET /api/v2/interrogate/status/{id}",
    "DELETE /api/v2/interrogate/status/{id}",
    "POST /api/v2/generate/async", "GET /api/v2/generate/check/{id}",
    "GET /api/v2/generate/status/{id}", "DELETE /api/v2/generate/status/{id}",
    "POST /api/v2/generate/video/async", "GET /api/v2/generate/video/check/{id}",
    "GET /api/v2/generate/video/status/{id}", "DELETE /api/v2/generate/video/status/{id}",
    "POST /api/v2/generate/text/async", "GET /api/v2/generate/text/status/{id}",
    "DELETE /api/v2/generate/text/status/{id}", "GET /api/v2/blobs/{blob}", "PUT /api/v2/blobs/{blob}",
    "GET /api/v2/generate/{id}/stream", "GET /api/v2/workers", "GET /api/v2/workers/{worker}", "GET /api/v2/workers/name/{name}",
    "PUT /api/v2/workers/{worker}", "DELETE /api/v2/workers/{worker}", "POST /api/v2/workers/pop",
    *(
        f"POST /api/v2/{path}"
        for path in (
            "generate/pop", "generate/text/pop", "interrogate/pop", "generate/submit", "generate/text/submit",
            "generate/video/pop", "generate/video/submit", "interrogate/submit", "generate/progress", "generate/preview/{generation}",
        )
    ),
    *(
        f"GET /api/v2/{path}"
        for path in (
            "status/heartbeat", "status/models", "status/models/{name}", "status/performance", "status/news",
            "status/modes", "stats/img/totals", "stats/img/models", "stats/text/totals", "stats/text/models",
            "styles/image", "styles/text", "styles/image/{id}", "styles/text/{id}", "styles/image_by_name/{id}",
            "styles/text_by_name/{id}", "collections", "collections/{id}", "collection_by_name/{id}", "teams", "teams/{id}",
        )
    ),
}  # fmt: skip


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


ROUTES: Final = {
    "POST /jobs", "POST /jobs/inference", "POST /jobs/training", "GET /jobs", "GET /jobs/{job}",
    "GET /jobs/statuses", "GET /jobs/{job}/status", "GET /jobs/{job}/result", "GET /jobs/{job}/timeline",
    "GET /jobs/{job}/explain", "GET /jobs/{job}/logs", "GET /admin/lanes", "POST /admin/lanes/{lane}/pause",
    "POST /admin/lanes/{lane}/resume", "GET /admin/tenants/{tenant}",
    "PUT /admin/tenants/{tenant}", "GET /admin/tenants", "GET /admin/whoami",
    "GET /admin/users", "POST /admin/users", "GET /admin/users/{user}", "PATCH /admin/users/{user}",
    "POST /admin/users/{user}/grant", "GET /admin/ledger",
    "GET /admin/keys", "POST /admin/keys", "POST /admin/keys/{key}/revoke",
    "GET /jobs/{job}/events", "POST /tickets", "POST /jobs/{job}/cancel", "GET /models",
    "GET /models/registered", "GET /models/{name}", "POST /models/{name}/versions",
    "GET /models/{name}/versions", "GET /models/{name}/versions/{version}",
    "DELETE /models/{name}/versions/{version}", "POST /models/{name}/route",
    "POST /models/{name}/promote", "POST /models/{name}/rollback", "GET /models/{name}/routes",
    "GET /models/{name}/performance", "POST /jobs/{job}/feedback", "GET /admin/models",
    "GET /admin/models/{tenant}/{name}", "GET /admin/models/{tenant}/{name}/versions",
    "PUT /admin/models/{tenant}/{name}", "GET /admin/models/{tenant}/{name}/performance",
    "POST /jobs/{job}/retry", "POST /schedules", "GET /schedules", "GET /schedules/{schedule}",
    "POST /schedules/{schedule}/pause", "POST /schedules/{schedule}/resume",
    "POST /schedules/{schedule}/run-now", "DELETE /schedules/{schedule}",
    "GET /admin/schedules", "POST /admin/schedules", "GET /admin/schedules/{schedule}",
    "POST /admin/schedules/{schedule}/pause", "POST /admin/schedules/{schedule}/resume",
    "POST /admin/schedules/{schedule}/run-now", "DELETE /admin/schedules/{schedule}",
    "GET /pipelines", "POST /runs", "GET /runs", "GET /runs/{run}", "POST /runs/{run}/cancel",
    "POST /runs/{run}/stages/{stage}/retry", "POST /runs/{run}/refinements",
    "POST /runs/{run}/captions", "GET /runs/{run}/events",
    "POST /batches", "GET /batches", "GET /batches/{batch}", "POST /batches/{batch}/cancel",
    "GET /batches/{batch}/results", "GET /batches/{batch}/events", "GET /admin/batches",
    "GET /admin/dead-letters/groups", "GET /admin/dead-letters",
    "GET /admin/dead-letters/{number}", "POST /admin/dead-letters/{number}/replay",
    "POST /admin/dead-letters/{number}/discard", "POST /admin/dead-letters/replay",
    "POST /admin/dead-letters/discard", "GET /admin/audit",
    "GET /admin/overview", "GET /admin/workers", "POST /admin/workers/{worker}/drain",
    "POST /admin/workers/{worker}/resume", "GET /admin/jobs", "GET /admin/jobs/{job}",
    "GET /admin/jobs/{job}/timeline", "GET /admin/jobs/{job}/explain",
    "POST /admin/jobs/cancel", "POST /admin/jobs/retry", "POST /admin/jobs/{job}/move",
    "GET /admin/rollout", "PUT /admin/rollout", "POST /admin/rollout/rollback",
    "DELETE /jobs/{job}", "POST /jobs/delete", "DELETE /runs/{run}", "DELETE /batches/{batch}",
    "GET /deletions/{deletion}",
    "DELETE /admin/tenants/{tenant}/data", "GET /admin/deletions/{deletion}",
    "OPTIONS /uploads", "POST /uploads", "HEAD /uploads/{upload}", "GET /uploads/{upload}",
    "PATCH /uploads/{upload}", "DELETE /uploads/{upload}",
    "POST /blobs", "GET /blobs/{blob}", "GET /blobs/{blob}/link",
    "POST /webhooks", "GET /webhooks",
    "GET /webhooks/{webhook}", "PATCH /webhooks/{webhook}",
    "DELETE /webhooks/{webhook}", "GET /webhooks/{webhook}/secret",
    "POST /webhooks/{webhook}/secret/rotate", "GET /webhooks/deliveries",
    "GET /webhooks/deliveries/{delivery}", "POST /webhooks/deliveries/{delivery}/redeliver",
    "GET /admin/webhooks", "GET /admin/webhooks/deliveries",
    "GET /admin/webhooks/deliveries/{delivery}", "POST /admin/webhooks/deliveries/{delivery}/redeliver",
    "POST /conversations/{conversation}/messages", "GET /conversations/{conversation}/messages",
    "GET /stream/{task_id}", "POST /stream/{task_id}/stop",
    "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings",
    "POST /v1/images/generations", "GET /v1/models", "GET /v1/models/{model}",
    *HORDE,
    "GET /health", "GET /livez", "GET /readyz", "GET /metrics",
}  # fmt: skip


async def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert set(operations(document)) == ROUTES
    assert all(each["description"] for each in operations(document).values())


async def test_refusals_are_problem_documents(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status[0] in "45" and not name.startswith(("GET /readyz", "GET /health")):
                if " /v1/" in name:
                    assert answer["content"] == ERRORS_OF_OPENAI, (name, status)
                    continue
                horde = " /api/v2/" in name
                form = "application/json" if horde else "application/problem+json"
                assert list(answer["content"]) == [form], (name, status)


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    missing = {name for name in _references(document) if name not in schemas}

    assert missing == set()


async def test_the_schema_of_frames_accepts_frames(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/Frame", "components": document["components"]}
    validator = Draft202012Validator(schema)

    assert validator.is_valid(json.loads(encode_frame(Token("a"))))
    assert not validator.is_valid({"type": "nonsense"})


async def test_the_sockets_are_described(document: dict[str, Any]) -> None:
    assert "/jobs/{id}/ws" in document["info"]["description"]
    assert "1012" in document["info"]["description"]


async def test_a_key_is_optional_only_where_settings_say_so(document: dict[str, Any]) -> None:
    read = operations(document)["GET /jobs"]["security"]
    assert read == [{"apikey": ["read"]}, {"bearer": ["read"]}, {}]
    assert operations(document)["GET /livez"]["security"] == [{}]


def _references(node: Any) -> set[str]:
    match node:
        case {"$ref": str(target)}:
            return {target.removeprefix("#/components/schemas/")}
        case dict():
            return set().union(*map(_references, node.values()))
        case list():
            return set().union(*map(_references, node))
        case _:
            return set()


def test_no_two_doors_have_a_schema_of_one_name(app: FastAPI) -> None:
    """Else one would be described as the other, in silence."""
    doors = importlib.import_module("headrace.api.dialects")
    named: dict[str, set[str]] = {}
    for found in pkgutil.walk_packages(doors.__path__, f"{doors.__name__}."):
        for each in vars(importlib.import_module(found.name)).values():
            if isinstance(each, type) and issubclass(each, BaseModel):
                named.setdefault(each.__name__, set()).add(each.__module__)
    described = app.openapi()["components"]["schemas"]
    assert {name: at for name, at in named.items() if len(at) > 1 and name in described} == {}
