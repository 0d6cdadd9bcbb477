"""The OpenAPI document: what FastAPI derives, completed with what it cannot see."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from headrace.api.dialects.conversations import schemas as conversations
from headrace.api.dialects.horde import documents as horde
from headrace.api.dialects.horde import schemas_asked as horde_asked
from headrace.api.dialects.horde import schemas_users as horde_users
from headrace.api.dialects.horde import schemas_work as horde_work
from headrace.api.dialects.native import (
    documents,
    schemas,
    schemas_admin,
    schemas_batches,
    schemas_deletions,
    schemas_keys,
    schemas_letters,
    schemas_models,
    schemas_rollout,
    schemas_runs,
    schemas_schedules,
    schemas_users,
    schemas_webhooks,
)
from headrace.api.dialects.openai import schemas as openai
from headrace.api.links import add_links
from headrace.api.scopes import stated
from headrace.contracts.frames import Frame

_ANY = "/admin/whoami"  # takes any key, of whatever scope
_REF = "#/components/schemas/{model}"


def describe_api(app: FastAPI, *, anonymous: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=documents.SUMMARY,
        description=documents.DESCRIPTION,
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_models(), **_frames())
    components["securitySchemes"] = {
        "apikey": {"type": "apiKey", "in": "header", "name": "apikey"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    needed = {(each.path, method): each.scopes for each in stated(app) for method in each.methods}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scopes = sorted(needed[path, method.upper()])
            keys: list[dict[str, list[str]]] = [{"apikey": scopes}, {"bearer": scopes}]
            operation["security"] = [*keys, *([{}] * anonymous)] if scopes or path == _ANY else [{}]
            _only_our_refusals(operation)
    add_links(document["paths"])
    return document


def _models() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [
            (schemas.JobRequest, "validation"),
            (schemas.InferenceRequest, "validation"),
            (schemas.TrainingRequest, "validation"),
            (schemas_schedules.ScheduleRequest, "validation"),
            (schemas_schedules.AnybodysScheduleRequest, "validation"),
            (schemas_admin.ManyRequest, "validation"),
            (schemas_admin.MoveRequest, "validation"),
            (schemas_letters.ReplayRequest, "validation"),
            (schemas_letters.ReplayOneRequest, "validation"),
            (schemas_letters.DiscardRequest, "validation"),
            (schemas.TermsRequest, "validation"),
            (schemas_keys.KeyRequest, "validation"),
            (schemas_rollout.RolloutRequest, "validation"),
            (schemas_webhooks.EndpointRequest, "validation"),
            (schemas_webhooks.EndpointChange, "validation"),
            (schemas_webhooks.WebhookEvent, "serialization"),
            (schemas_deletions.DeletionRequest, "validation"),
            (schemas_runs.RunRequest, "validation"),
            (schemas_runs.AdditionRequest, "validation"),
            (schemas_batches.BatchRequest, "validation"),
            (schemas_batches.BatchResult, "serialization"),
            (conversations.MessageRequest, "validation"),
            (conversations.ChunkView, "serialization"),
            (openai.ChatRequest, "validation"),
            (openai.CompletionRequest, "validation"),
            (openai.EmbeddingRequest, "validation"),
            (openai.ImageRequest, "validation"),
            (schemas.ProblemView, "serialization"),
            (horde.HordeErrorView, "serialization"),
            (horde_asked.HordeImageRequest, "validation"),
            (horde_asked.HordeVideoRequest, "validation"),
            (horde_asked.TextRequest, "validation"),
            (horde_asked.AlchemyRequest, "validation"),
            *((each, "validation") for each in horde_work.BODIES),
            (horde_users.UserChange, "validation"),
            (horde_users.RegistrationRequest, "validation"),
            (horde_users.TransferRequest, "validation"),
            (horde_users.SharedKeyTerms, "validation"),
            *((each, "validation") for each in schemas_users.BODIES),
            *((each, "validation") for each in schemas_models.BODIES),
        ],
        ref_template=_REF,
    )
    found: dict[str, Any] = definitions["$defs"]
    return found


def _frames() -> dict[str, Any]:
    (whole,), parts = msgspec.json.schema_components(
        [Frame], ref_template=_REF.format(model="{name}")
    )
    return {**parts, "Frame": whole}


def _only_our_refusals(operation: dict[str, Any]) -> None:
    """FastAPI adds its own 422, which nobody here ever answers."""
    said = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
    if said.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
        del operation["responses"]["422"]
