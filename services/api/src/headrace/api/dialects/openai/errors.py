"""What this door refuses, and how: `{"error": {message, type, param, code}}`, whoever found it.

A problem is said in this form with its slug as `code`, but where OpenAI's clients know a code of
their own. What the official client would try again by itself, and should not, says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.problems import Problem, Refused
from headrace.core.errors import InvalidInput
from headrace.core.job import Job, State

DOOR: Final = "/v1"
JOB_HEADER: Final = "X-Headrace-Job"
_NOT_AGAIN: Final = {"x-should-retry": "false"}  # the official client heeds it
_CODES: Final = {
    "unauthorized": "invalid_api_key",
    "scope-missing": "insufficient_permissions",
    "unknown-model": "model_not_found",
    "queue-full": "rate_limit_exceeded",
    "queues-full": "overloaded",
    "not-found": "unknown_url",
}
_STATUSES: Final = {"unknown-model": 404, "idempotency-conflict": 422}
_PARAMS: Final = {"kind": "model"}  # a kind that nobody runs is a model that is not there
_INVALID, _REQUESTS, _SERVERS = 422, 429, 500
_BY_KIND: Final = {  # of a job's error, where the job itself is not at fault
    "transient": 503,
    "resource": 503,
    "worker_lost": 503,
    "deadline": 504,
}
_TAG: Final = re.compile(r"\[|^(str|int|float|bool|dict|list|none)$")  # pydantic's, of unions
_ITEM: Final = re.compile(r"/(\d+)(?=/|$)")


def response(problem: Problem) -> Response:
    return Response(
        msgspec.json.encode(document(problem)),
        status_of(problem),
        dict(problem.headers),
        media_type="application/json",
    )


def document(problem: Problem) -> dict[str, Any]:
    where = problem.fields.get("pointer") or problem.fields.get("parameter")
    return {
        "error": {
            "message": problem.detail,
            "type": _type(status_of(problem)),
            "param": None if where is None else param_at(where),
            "code": _CODES.get(problem.slug, problem.slug.replace("-", "_")),
        }
    }


def status_of(problem: Problem) -> int:
    usual = 400 if problem.status == _INVALID else problem.status
    return _STATUSES.get(problem.slug, usual)


def _type(status: int) -> str:
    if status >= _SERVERS:
        return "server_error"
    return "requests" if status == _REQUESTS else "invalid_request_error"


def param_at(pointer: str) -> str | None:
    """`/messages/0/role` as `messages[0].role`."""
    steps = _ITEM.sub(r"[\1]", pointer.strip("/")).replace("/", ".")
    return _PARAMS.get(steps, steps) or None


# -- what this door finds itself ----------------------------------------------------------------


def wrong_body(error: ValidationError) -> Refused:
    """The first of its faults, as OpenAI says one."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = _pointer(first["loc"])
    param = param_at(where)
    match first["type"]:
        case "missing":
            return refused("missing-required-parameter", f"'{param}' is required.", where)
        case "extra_forbidden":
            return refused("unknown-parameter", f"'{param}' is not known here.", where)
        case "unsupported_parameter":
            return refused("unsupported-parameter", f"'{param}' {first['msg']}", where)
        case _:
            of = f"'{param}': " if param else ""
            return refused("invalid-value", f"{of}{first['msg']}", where)


def _pointer(loc: Sequence[int | str]) -> str:
    return "".join(f"/{step}" for step in loc if not _TAG.search(str(step)))


def refused(slug: str, detail: str, pointer: str) -> Refused:
    return Refused(Problem(400, slug, "It cannot be done", detail, {"pointer": pointer}))


def not_taken(model: str, names: Sequence[str], here: Mapping[str, str]) -> Refused:
    param = here.get(names[0], names[0])
    detail = f"'{param}' is not supported by model '{model}'."
    return refused("unsupported-parameter", detail, f"/{param}")


def no_such_model(model: str, known: Sequence[str]) -> Refused:
    detail = f"no model '{model}' here; known: {', '.join(known) or 'none yet'}"
    where = {"pointer": "/model"}
    return Refused(Problem(404, "unknown-model", "Nobody runs that", detail, where))


def in_its_place(error: InvalidInput, here: Mapping[str, str]) -> Refused:
    """The engine's input is made here; `here` has what its fields are called in a request."""
    where = named_here(error.pointer, here)
    param = param_at(where)
    return refused("invalid-value", f"'{param}': {error.why}" if param else error.why, where)


def named_here(pointer: str, here: Mapping[str, str]) -> str:
    first, slash, rest = pointer.lstrip("/").partition("/")
    return f"/{here.get(first, first)}{slash}{rest}"


# -- what became of the jobs --------------------------------------------------------------------


def of_job(job: Job, here: Mapping[str, str]) -> Problem:
    """A job that has ended otherwise than well. Headrace has tried again where that may help."""
    error = job.error or {}
    headers = {JOB_HEADER: job.id, **_NOT_AGAIN}
    message = str(error.get("message") or f"job {job.id} ended as {job.state}")
    if job.state is State.CANCELLED:
        detail = "somebody asked this job to end"
        return Problem(409, "job-cancelled", "It was cancelled", detail, headers=headers)
    if error.get("kind") == "input":
        field = str(error.get("field") or "").replace("[", "/").replace("]", "").replace(".", "/")
        at = {"pointer": named_here(f"/{field}", here)} if field else {}
        return Problem(400, "invalid-value", "It does not fit", message, at, headers)
    status = _BY_KIND.get(str(error.get("kind")), 500)
    return Problem(status, "job-failed", "The job failed", message, headers=headers)


def too_long(jobs: Sequence[Job], within_s: float, *, goes_on: bool) -> Refused:
    then = "it goes on" if goes_on else "it was asked to end"
    detail = f"There was no answer within {within_s:g} s; {then}."
    headers = {**header_of(jobs), **_NOT_AGAIN}
    return Refused(Problem(504, "timeout", "It took too long", detail, headers=headers))


def left(jobs: Sequence[Job]) -> Refused:
    """Said to nobody; the log and the metrics count it, and not as a failure of ours."""
    return Refused(Problem(499, "client-left", "The client left", "", headers=header_of(jobs)))


def leaving(jobs: Sequence[Job]) -> Refused:
    detail = "This server stops. Ask again, with the same Idempotency-Key if you sent one."
    headers = {**header_of(jobs), "Retry-After": "1"}
    return Refused(Problem(503, "stopping", "This server stops", detail, headers=headers))


CHANGED: Final = Problem(
    500,
    "answer-changed",
    "The answer changed",
    "A worker was lost, and another began the answer again and wrote something else.",
)
STOPS: Final = Problem(
    503,
    "stopping",
    "This server stops",
    "This server stops: the rest is at /jobs/ID/events, if the job is to go on.",
)


def header_of(jobs: Sequence[Job]) -> dict[str, str]:
    return {JOB_HEADER: ", ".join(job.id for job in jobs)}
