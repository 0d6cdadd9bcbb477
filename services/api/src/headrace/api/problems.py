"""RFC 9457 problem documents: what a refusal says, as data, and the exception that carries one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
_NO_MORE: Final = {"Connection": "close"}  # what is left of the body is not waited for


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    slug: str  # names the kind of problem for programs; the title does it for people
    title: str
    detail: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "type": f"urn:headrace:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.fields,
        }

    def response(self) -> Response:
        body = msgspec.json.encode(self.document())
        return Response(body, self.status, dict(self.headers), media_type=MEDIA_TYPE)


class Refused(Exception):
    """The request cannot be served as it is, for a reason found at the door."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class NulFound(Refused):
    """There is a NUL character in it, which no database keeps."""


def malformed(detail: str) -> Refused:
    return Refused(Problem(400, "malformed", "The request cannot be read", detail))


def nul_found(where: str) -> NulFound:
    return NulFound(malformed(f"{where} has a NUL character.").problem)


def bad_position(detail: str) -> Refused:
    return Refused(Problem(400, "bad-position", "That is no position in a stream", detail))


def too_large(limit: int) -> Refused:
    detail = f"The body may have at most {limit} bytes."
    title = "The body is too large"
    return Refused(Problem(413, "too-large", title, detail, {"limit": limit}, _NO_MORE))


def too_slow(within_s: float) -> Refused:
    detail = f"The body did not arrive within {within_s:g} seconds."
    return Refused(Problem(408, "too-slow", "The body came too slowly", detail, headers=_NO_MORE))


def unsupported(wanted: str, got: str | None) -> Refused:
    detail = f"Send {wanted}; this was {got or 'without a Content-Type'}."
    title = "The body has the wrong media type"
    return Refused(Problem(415, "unsupported-media-type", title, detail))


def invalid(errors: list[dict[str, str]]) -> Refused:
    """Each error has a `pointer` into the body or a `parameter`, and a `detail`."""
    first = errors[0]
    where = first.get("pointer") or first.get("parameter") or "/"
    fields = {**{k: v for k, v in first.items() if k != "detail"}, "errors": errors}
    title = "The request does not have the right form"
    return Refused(Problem(422, "invalid", title, f"{where}: {first['detail']}", fields))


def of_status(status: int, detail: str | None, headers: Mapping[str, str] | None) -> Problem:
    """What the framework refuses by itself: no such route, no such method."""
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    return Problem(status, slug, phrase, detail or phrase, headers=headers or {})


INTERNAL: Final = Problem(
    500,
    "internal",
    "Something broke on our side",
    "The request was not served because of an error of ours; it is logged with this trace.",
)
