"""Reading what a client sends: never more than the limit, never for longer than the deadline."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from headrace.api.deps import Limits
from headrace.api.problems import (
    Refused,
    invalid,
    malformed,
    nul_found,
    too_large,
    too_slow,
    unsupported,
)
from headrace.core.inputs import pointer

LINGER_BYTES: Final = 64 * 2**20
_ESCAPED_NUL: Final = b"\\u0000"


async def read_body(request: Request, *, limit: int, within_s: float) -> bytes:
    """The whole body. What is too large is read on for a while, and thrown away, before it is refused.

    A client that still sends when its connection is closed sees a reset and not the refusal (RFC 9112, 9.6).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit + LINGER_BYTES:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                size += len(part)
                if size > limit + LINGER_BYTES:
                    break
                if size <= limit:
                    parts.append(part)
    except TimeoutError as error:
        raise too_slow(within_s) from error
    except ClientDisconnect as error:
        raise malformed("The body ended early.") from error
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


async def read_json(request: Request, limits: Limits, *, limit: int | None = None) -> bytes:
    """A body that is one JSON value we can keep: no NUL, no NaN, no endless nesting.

    `limit`: its bytes at most; None: those of a job.
    """
    media_type = request.headers.get("content-type")
    # A page of another origin can send anything but this without asking (CORS) first.
    if media_type is None or media_type.partition(";")[0].strip().lower() != "application/json":
        raise unsupported("application/json", media_type)
    limit = limits.job_bytes if limit is None else limit
    body = await read_body(request, limit=limit, within_s=limits.body_s)
    check_json(body, depth=limits.json_depth)
    return body


def has_body(request: Request) -> bool:
    """For routes that can do without one."""
    declared = request.headers.get("content-length", "0")
    return declared != "0" or "transfer-encoding" in request.headers


def check_json(body: bytes, *, depth: int) -> None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise malformed(f"The body nests deeper than {depth} levels.") from error
    may_hold_nul = _ESCAPED_NUL in body
    if may_hold_nul or body.count(b"{") + body.count(b"[") > depth:
        _check_value(value, depth)


def _check_value(value: Any, depth: int) -> None:
    if depth < 0:
        raise malformed("The body nests too deeply.")
    match value:
        case str() if "\0" in value:
            raise nul_found("The body")
        case dict():
            for key, member in value.items():
                _check_value(key, depth)
                _check_value(member, depth - 1)
        case list():
            for member in value:
                _check_value(member, depth - 1)
        case _:
            pass


def wrong_body(error: ValidationError) -> Refused:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return invalid([{"pointer": _place(each["loc"]), "detail": each["msg"]} for each in found])


def _place(loc: Sequence[int | str]) -> str:
    # pydantic marks a complaint about a name, rather than its value, with a last step of its own
    return pointer(step for step in loc if step != "[key]")


def fingerprint(body: bytes) -> str:
    """The same for the same JSON value, whatever its spacing and order of names."""
    canonical = msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    return hashlib.sha256(canonical).hexdigest()
