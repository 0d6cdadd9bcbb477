"""What this door refuses, in its own words: `{message, rc}`, and `errors` by field for a wrong body."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Final, assert_never

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headrace.api.problems import NulFound, Problem, Refused
from headrace.core.errors import (
    BlobNotFound,
    HeadraceError,
    IdempotencyConflict,
    InvalidInput,
    JobNotFound,
    KeyNotFound,
    NotEnoughKudos,
    QueuesFull,
    SharedKeyNotFound,
    SharedKeySpent,
    TenantQueueFull,
    TooLarge,
    TooManyPrompts,
    TooManySharedKeys,
    TransferRefused,
    Unavailable,
    UnknownModel,
    UserNotFound,
    WorkerNotFound,
)

WRONG_PAYLOAD: Final = "Input payload validation failed"
_A_JOB_TAKES_S: Final = 5  # nobody knows; less than this is not worth asking again
_LONGEST: Final = 400  # characters of one complaint: it may quote what was sent


class HordeError(Exception):
    """A refusal. `rc` is for programs, `message` for people, and some clients look for words in it."""

    def __init__(
        self,
        status: int,
        rc: str,
        message: str,
        *,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.rc, self.message = status, rc, message
        self.errors = errors  # by field of the body; None: it is not about fields
        self.headers = headers or {}

    def response(self) -> Response:
        body: dict[str, Any] = {"message": self.message, "rc": self.rc}
        if self.errors is not None:
            body["errors"] = self.errors
        encoded = msgspec.json.encode(body)
        return Response(encoded, self.status, dict(self.headers), media_type="application/json")


_MISSING: Final[Mapping[type[Exception], tuple[str, str]]] = {
    JobNotFound: ("RequestNotFound", "There is no request with this id."),
    BlobNotFound: ("ImageNotFound", "There is no such image, or no longer."),
    WorkerNotFound: ("WorkerNotFound", "There is no such worker."),
    KeyNotFound: ("UserNotFound", "There is no such user."),
    UserNotFound: ("UserNotFound", "There is no such user."),
    SharedKeyNotFound: ("SharedKeyInvalid", "There is no such shared key."),
}
# By the slug of a problem that every door finds alike.
_RC: Final[Mapping[str, str]] = {
    "unauthorized": "InvalidAPIKey",
    "scope-missing": "Forbidden",
    "foreign-host": "Forbidden",
    "malformed": "BadRequest",
    "bad-position": "BadRequest",
    "too-large": "PayloadTooLarge",
    "too-slow": "RequestTimeout",
    "unsupported-media-type": "UnsupportedMediaType",
    "not-found": "NotFound",
    "method-not-allowed": "MethodNotAllowed",
}
_INTERNAL: Final = HordeError(
    500,
    "InternalServerError",
    "The request was not served because of an error of ours; it is logged with the trace in X-Trace-Id.",
)


def answer_for(error: Exception) -> Response:
    """Whatever went wrong, as this door says it."""
    return refusal_for(error).response()


def refusal_for(error: Exception) -> HordeError:  # noqa: PLR0911  # a table, one row an error
    match error:
        case HordeError():
            return error
        case NulFound():
            return HordeError(400, "NulByteInPayload", error.problem.detail)
        case Refused():
            return _of_problem(error.problem)
        case HeadraceError():
            return _of_core(error)
        case HTTPException():
            headers = error.headers
            return HordeError(
                error.status_code, _camel(error.detail), error.detail, headers=headers
            )
        case RequestValidationError():
            return wrong_payload({_place(each["loc"][1:]): each["msg"] for each in error.errors()})
        case ValidationError():
            return wrong_body(error)
        case _:
            return _INTERNAL


def _of_core(error: HeadraceError) -> HordeError:  # noqa: C901, PLR0911  # a table, one row an error
    match error:
        case _ if (missing := _MISSING.get(type(error))) is not None:
            return HordeError(404, *missing)
        case UnknownModel():
            return HordeError(400, "UnsupportedModel", str(error))
        case InvalidInput():
            return wrong_payload({_dotted(error.pointer): error.why})
        case TenantQueueFull():
            return HordeError(429, "TooManyPrompts", str(error), headers=_in(error.retry_after_s))
        case QueuesFull():
            return HordeError(503, "QueuesFull", str(error), headers=_in(error.retry_after_s))
        case TooLarge():
            return HordeError(413, "PayloadTooLarge", str(error))
        case NotEnoughKudos() | SharedKeySpent() | TooManyPrompts():
            return _unpaid(error)
        case TransferRefused():
            return HordeError(400, "KudosTransferRefused", str(error))
        case TooManySharedKeys():
            return HordeError(403, "TooManySharedKeys", str(error))
        case IdempotencyConflict():
            return HordeError(409, "IdempotencyConflict", str(error))
        case Unavailable():
            # What is down is told, why it is down is for the log: it may name hosts.
            said = f"{error.what} does not answer, and whether this took effect is not known. Try again."
            return HordeError(503, "ServiceUnavailable", said, headers=_in(2))
        case _:
            return _INTERNAL


def _unpaid(error: NotEnoughKudos | SharedKeySpent | TooManyPrompts) -> HordeError:
    match error:
        case NotEnoughKudos():
            return HordeError(403, "KudosUpfront", str(error))
        case SharedKeySpent():
            rc = "SharedKeyInsufficientKudos" if error.left > 0 else "SharedKeyEmpty"
            return HordeError(403, rc, str(error))
        case TooManyPrompts():
            return HordeError(429, "TooManyPrompts", str(error), headers=_in(_A_JOB_TAKES_S))
        case _:
            assert_never(error)


def _of_problem(problem: Problem) -> HordeError:
    rc = _RC.get(problem.slug) or _camel(problem.title)
    if "errors" in problem.fields:
        return wrong_payload({_first(each): each["detail"] for each in problem.fields["errors"]})
    return HordeError(problem.status, rc, problem.detail, headers=problem.headers)


def wrong_payload(errors: Mapping[str, str]) -> HordeError:
    """By field of the body, as `params.width`."""
    said = {field: why[:_LONGEST] for field, why in errors.items()}
    return HordeError(400, "ValidationError", WRONG_PAYLOAD, errors=said)


def wrong_body(error: ValidationError) -> HordeError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return wrong_payload({_place(each["loc"]): each["msg"] for each in found})


def invalid_key() -> HordeError:
    message = (
        "No user has this API key. Register to get one, or ask as anonymous with '0000000000'."
    )
    return HordeError(401, "InvalidAPIKey", message)


def _first(error: Mapping[str, str]) -> str:
    return error.get("parameter") or _dotted(error.get("pointer", ""))


def _dotted(pointer: str) -> str:
    return pointer.strip("/").replace("/", ".") or "body"


def _place(loc: Any) -> str:
    return ".".join(str(step) for step in loc if step != "[key]") or "body"


def _camel(words: str) -> str:
    return "".join(word.capitalize() for word in words.replace("-", " ").split())


def _in(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(ceil(seconds))}
