"""What the OpenAPI document says beyond the signatures: problems, bodies, live streams."""

from __future__ import annotations

from typing import Any, Final

from headrace.api.described import json_body as json_body  # noqa: PLC0414  # said here too
from headrace.api.described import problems as problems  # noqa: PLC0414

BLOB_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary", "minLength": 1}}
            for media_type in ("image/*", "application/jsonl", "application/octet-stream")
        },
    }
}

BATCH_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/BatchRequest"}},
            **{
                media_type: {"schema": {"type": "string", "minLength": 1}}
                for media_type in ("application/jsonl", "application/x-ndjson")
            },
        },
    }
}

REPLAYED_HEADER: Final[dict[str, Any]] = {
    "Idempotent-Replayed": {
        "description": "`true`: the key was used before, and this was answered then.",
        "schema": {"type": "string"},
    },
}

JOB_HEADERS: Final[dict[str, Any]] = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    **REPLAYED_HEADER,
    "Preference-Applied": {
        "description": "The `wait` that was kept to.",
        "schema": {"type": "string"},
    },
}

RETRY_HEADER: Final[dict[str, Any]] = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}
}

EVENTS: Final[dict[str, Any]] = {
    "description": (
        "The frames so far, then those to come; ends after the terminal one. Each event has the "
        "frame's position as `id`, its type as `event` and its JSON (schema `Frame`) as `data`. "
        "Comments keep the connection open."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}

SUMMARY: Final = "Run GPU and AI jobs: submit, watch live, cancel."
DESCRIPTION: Final = """
A job is sent with `POST /jobs`, runs on a worker and can be watched while it does.

**Watching.** `GET /jobs/{id}/events` is Server-Sent Events. The same frames come over WebSocket, at
`/jobs/{id}/ws` (one job, `?after=` to resume), at `/ws` (many jobs on one socket) and at
`/runs/{id}/ws` (all jobs of a run, each message `{"run", "id", "event", "data"}`):

| you send | |
| --- | --- |
| `{"authorization": "KEY"}` | first, within five seconds, if the handshake had no key and one is needed |
| `{"subscribe": "ID", "after": "3-17"}` | frames of a job, from a position on; `after` may be left out |
| `{"unsubscribe": "ID"}` | no more of them |
| `{"cancel": "ID"}` | the same as `POST /jobs/{id}/cancel` |

| you receive | |
| --- | --- |
| `{"job": "ID", "id": "3-17", "frame": {"type": "token", …}}` | one frame and its position (schema `Frame`) |
| `{"error": {…}, "job": "ID"}` | a problem with what you sent; the socket stays open |

A position is `epoch-seq`. After a disconnect, resume with the last one you have: every later frame
comes once, in order, or a `reset` frame brings the whole state. A close with code 1012 means that
the server restarts: connect again. A disconnect never cancels a job.

**Errors** are problem documents (RFC 9457).
"""
