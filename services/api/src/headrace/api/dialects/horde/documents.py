"""This door's part of the API description: its refusals and its bodies."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from headrace.api.dialects.horde.forms import Told


def routes() -> APIRouter:
    """For each part of this door."""
    return APIRouter(prefix="/api/v2", tags=["horde"])


class HordeErrorView(Told):
    """Every refusal of this door."""

    message: str
    rc: str
    errors: dict[str, str] | None = None


_SAID: Final = {
    400: "It does not fit: `errors` says which field, or `rc` what else.",
    401: "No key, or one that nobody has.",
    403: "This key may not do that.",
    404: "There is none with this id.",
    405: "This address has not that method.",
    408: "The body came too slowly.",
    409: "It contradicts what was asked before.",
    410: "It has expired.",
    413: "The body is too large.",
    415: "The body has the wrong media type.",
    429: "Too many of yours wait, or you ask too often; try again after `Retry-After` seconds.",
    500: "Something broke on our side; it is logged with the trace in `X-Trace-Id`.",
    503: "A dependency does not answer, or too much waits; try again after `Retry-After` seconds.",
}
_ERROR: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/HordeErrorView"}}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented refusals; those that every call can meet are always among them."""
    return {
        status: {"description": _SAID[status], "content": _ERROR}
        for status in sorted({400, 401, 403, 500, 503, *statuses})
    }


def body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}
