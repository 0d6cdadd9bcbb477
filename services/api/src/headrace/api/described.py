"""What every door's part of the OpenAPI document says beyond the signatures: problems and bodies."""

from __future__ import annotations

from typing import Any, Final

from headrace.api.problems import MEDIA_TYPE

_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
_SAID: Final = {
    400: "It cannot be read: malformed JSON, a NUL character, a bad stream position.",
    401: "No key, or a wrong one.",
    403: "This key may not do that; `scope` names what it lacks.",
    404: "There is none with this id, for this tenant.",
    409: "It is not in a state for that.",
    408: "The body came too slowly.",
    412: "It is not in the version that we speak: `Tus-Version` says which that is.",
    413: "The body is too large.",
    415: "The body has the wrong media type.",
    422: "It can be read and is wrong: `pointer` or `parameter` says where, `known` what would do.",
    423: "Somebody sends for it at this moment.",
    460: "What came is not what its checksum says: none of it counts.",
    429: "As many of your jobs wait as may; try again after `Retry-After` seconds.",
    500: "Something broke on our side; it is logged with the trace in `X-Trace-Id`.",
    503: "A dependency does not answer, or too many jobs wait; try again after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented refusals; those that every call can meet are always among them."""
    return {
        status: {"description": _SAID[status], "content": _PROBLEM}
        for status in sorted({400, 401, 403, 500, 503, *statuses})
    }


def json_body(schema: str, *, required: bool = True) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": required, "content": content}}
