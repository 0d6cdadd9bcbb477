"""Error to problem document: one table for the native door and its gateways."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from headrace.api.problems import INTERNAL, Problem, Refused, invalid, of_status
from headrace.core.errors import (
    BadSchedule,
    BlobNotFound,
    IdempotencyConflict,
    InvalidInput,
    JobNotFound,
    JobNotOver,
    JobNotWaiting,
    LetterNotFound,
    LetterSettled,
    QueuesFull,
    ScheduleNotFound,
    TenantQueueFull,
    TooLarge,
    Unavailable,
    UnknownModel,
    WorkerNotFound,
)

_RETRY = {"Retry-After": "2"}
_MISSING: Final[Mapping[type[Exception], str]] = {
    JobNotFound: "job",
    BlobNotFound: "blob",
    ScheduleNotFound: "schedule",
    LetterNotFound: "dead letter",
    WorkerNotFound: "worker",
}


def problem_for(error: Exception) -> Problem:  # noqa: C901, PLR0911, PLR0912  # a table, one row an error
    match error:
        case Refused():
            return error.problem
        case _ if (thing := _MISSING.get(type(error))) is not None:
            slug = f"no-such-{thing.replace(' ', '-')}"
            return Problem(404, slug, f"There is no such {thing}", str(error))
        case LetterSettled():
            return Problem(409, "settled", "This dead letter is settled", str(error))
        case JobNotOver():
            return Problem(409, "not-over", "This job has not ended", str(error))
        case JobNotWaiting():
            return Problem(409, "not-waiting", "This job has no place to change", str(error))
        case BadSchedule():
            at = {"pointer": error.pointer}
            return Problem(422, "bad-schedule", "It would never fire", str(error), at)
        case UnknownModel():
            where = "/kind" if error.model is None else "/model"
            known = {"known": error.known, "pointer": where}
            return Problem(422, "unknown-model", "Nobody runs that", str(error), known)
        case InvalidInput():
            where = f"/input{error.pointer}"
            title = "The input does not fit"
            return Problem(422, "invalid-input", title, str(error), {"pointer": where})
        case IdempotencyConflict():
            title = "This key belongs to another request"
            return Problem(422, "idempotency-conflict", title, str(error))
        case TooLarge():
            limit = {"limit": error.limit}
            return Problem(413, "too-large", "The body is too large", str(error), limit)
        case TenantQueueFull():
            title, limit = "Too many of your jobs are waiting", {"limit": error.limit}
            return Problem(429, "queue-full", title, str(error), limit, _in(error.retry_after_s))
        case QueuesFull():
            title = "Too many jobs are waiting"
            headers = _in(error.retry_after_s)
            return Problem(503, "queues-full", title, str(error), headers=headers)
        case Unavailable():
            # What is down is told, why it is down is for the log: it may name hosts.
            detail = (
                f"{error.what} does not answer, and whether this took effect is not known. Try again:"
                " with the same Idempotency-Key no job is made twice."
            )
            return Problem(503, "unavailable", "Try again shortly", detail, headers=_RETRY)
        case HTTPException():
            return of_status(error.status_code, error.detail, error.headers)
        case RequestValidationError():
            return invalid([_in_parameter(each) for each in error.errors()]).problem
        case _:
            return INTERNAL


def _in(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(ceil(seconds))}


def wrong_parameter(name: str, detail: str) -> Refused:
    return invalid([{"parameter": name, "detail": detail}])


def _in_parameter(error: dict[str, Any]) -> dict[str, str]:
    return {"parameter": ".".join(map(str, error["loc"][1:])), "detail": error["msg"]}
