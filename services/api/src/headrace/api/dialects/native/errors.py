"""Error to problem document: one table for the native door and its gateways."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Final, assert_never

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from headrace.api.problems import INTERNAL, Problem, Refused, invalid, of_status
from headrace.core.errors import (
    BadModel,
    BadPipeline,
    BadSchedule,
    BadWebhook,
    BlobNotFound,
    CallNotFound,
    EndpointNotFound,
    HeadraceError,
    IdempotencyConflict,
    InvalidInput,
    JobNotFound,
    JobNotOver,
    JobNotWaiting,
    KeyNotFound,
    LetterNotFound,
    LetterSettled,
    ModelNotFound,
    ModelNotReady,
    NobodyToCall,
    NotEnoughKudos,
    PathMissing,
    QueuesFull,
    RolloutFixed,
    RolloutMoved,
    RolloutUnsaid,
    RunNotFound,
    RunNotReady,
    ScheduleNotFound,
    SharedKeySpent,
    StageNotFound,
    TenantQueueFull,
    TooLarge,
    TooManyEndpoints,
    TooManyPrompts,
    Unavailable,
    UnknownModel,
    UnknownPipeline,
    UserNotFound,
    VersionNotFound,
    WorkerNotFound,
)
from headrace.core.errors_bulk import (
    BatchNotFound,
    BatchNotOver,
    DeletionNotFound,
    EmptyBatch,
    JobOfBatch,
    JobOfRun,
    TooManyBatches,
    TooManyDeletions,
    TooManyItems,
    TooManyPieces,
    TooManyUploads,
    UploadHeld,
    UploadMoved,
    UploadNotFound,
    WrongChecksum,
)

_RETRY = {"Retry-After": "2"}
_MISSING: Final[Mapping[type[Exception], str]] = {
    JobNotFound: "job",
    BlobNotFound: "blob",
    ScheduleNotFound: "schedule",
    RunNotFound: "run",
    BatchNotFound: "batch",
    StageNotFound: "stage",
    LetterNotFound: "dead letter",
    KeyNotFound: "key",
    WorkerNotFound: "worker",
    UserNotFound: "user",
    EndpointNotFound: "webhook",
    CallNotFound: "delivery",
    UploadNotFound: "upload",
    DeletionNotFound: "deletion",
    ModelNotFound: "model",
    VersionNotFound: "version",
}
# Those that have nothing more to say than their words.
_PLAIN: Final[Mapping[type[Exception], tuple[int, str, str]]] = {
    LetterSettled: (409, "settled", "This dead letter is settled"),
    JobNotOver: (409, "not-over", "This job has not ended"),
    BatchNotOver: (409, "not-over", "This batch is not over"),
    JobNotWaiting: (409, "not-waiting", "This job has no place to change"),
    NotEnoughKudos: (409, "not-enough-kudos", "There are not so many kudos"),
    SharedKeySpent: (409, "shared-key-spent", "This shared key has not so many kudos"),
    TooManyPrompts: (429, "too-many-open", "This user has as many jobs as it may"),
    TooManyEndpoints: (409, "too-many-webhooks", "This tenant has as many webhooks as it may"),
    NobodyToCall: (409, "nobody-to-call", "There is nobody to call any more"),
    RunNotReady: (409, "run-not-ready", "This cannot be asked of the run now"),
    EmptyBatch: (422, "empty-batch", "There is nothing in this batch"),
    TooManyDeletions: (429, "too-many-deletions", "As many deletions wait as may"),
    TooManyUploads: (429, "too-many-uploads", "As much is under way as may"),
    TooManyPieces: (413, "too-many-pieces", "Send larger pieces"),
    UploadHeld: (423, "upload-held", "Somebody sends for it at this moment"),
    UploadMoved: (409, "upload-moved", "It goes on elsewhere"),
    WrongChecksum: (460, "wrong-checksum", "It is not what its checksum says"),
    ModelNotReady: (409, "model-not-ready", "This cannot be asked of the model now"),
    PathMissing: (422, "path-missing", "Nobody could run them there"),
    IdempotencyConflict: (422, "idempotency-conflict", "This key belongs to another request"),
}

# Those that say where in the body the fault is.
_BAD: Final[Mapping[type[Exception], tuple[str, str]]] = {
    BadWebhook: ("bad-webhook", "It would not be called"),
    BadModel: ("bad-model", "This model cannot be as asked"),
    BadSchedule: ("bad-schedule", "It would never fire"),
}


def problem_for(error: Exception) -> Problem:  # noqa: C901, PLR0911, PLR0912  # a table, one row an error
    match error:
        case Refused():
            return error.problem
        case HeadraceError() if (thing := _MISSING.get(type(error))) is not None:
            slug = f"no-such-{thing.replace(' ', '-')}"
            return Problem(404, slug, f"There is no such {thing}", str(error))
        case HeadraceError() if (plain := _PLAIN.get(type(error))) is not None:
            return Problem(*plain, str(error))
        case RolloutFixed() | RolloutMoved() | RolloutUnsaid():
            return _about_rollout(error)
        case JobOfRun() | JobOfBatch():
            return _about_whole(error)
        case BadWebhook() | BadModel() | BadSchedule():
            slug, title = _BAD[type(error)]
            return Problem(422, slug, title, str(error), {"pointer": error.pointer})
        case UnknownPipeline() | BadPipeline():
            return _about_pipeline(error)
        case TooManyItems() | TooManyBatches():
            return _about_batch(error)
        case UnknownModel():
            where = "/kind" if error.model is None else "/model"
            known = {"known": error.known, "pointer": where}
            return Problem(422, "unknown-model", "Nobody runs that", str(error), known)
        case InvalidInput():
            where = f"/input{error.pointer}"
            title = "The input does not fit"
            return Problem(422, "invalid-input", title, str(error), {"pointer": where})
        case TooLarge():
            limit = {"limit": error.limit}
            return Problem(413, "too-large", "The body is too large", str(error), limit)
        case TenantQueueFull() | QueuesFull():
            return _too_many(error)
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


def _about_whole(error: JobOfRun | JobOfBatch) -> Problem:
    if isinstance(error, JobOfRun):
        which = {"run": error.run}
        return Problem(409, "job-of-run", "It goes with its run", str(error), which)
    which = {"batch": error.batch}
    return Problem(409, "job-of-batch", "It goes with its batch", str(error), which)


def _about_pipeline(error: UnknownPipeline | BadPipeline) -> Problem:
    if isinstance(error, BadPipeline):
        which = {"pipeline": error.pipeline, "stage": error.stage}
        return Problem(422, "bad-pipeline", "This cannot be run", str(error), which)
    known = {"known": error.known, "pointer": "/pipeline"}
    title = "There is no such pipeline"
    return Problem(422, "unknown-pipeline", title, str(error), known)


def _about_batch(error: TooManyItems | TooManyBatches) -> Problem:
    limit = {"limit": error.limit}
    if isinstance(error, TooManyItems):
        return Problem(413, "too-many-items", "The batch is too long", str(error), limit)
    title = "Too many of your batches are under way"
    return Problem(429, "too-many-batches", title, str(error), limit, _in(60))


def _too_many(error: TenantQueueFull | QueuesFull) -> Problem:
    match error:
        case TenantQueueFull():
            limit, headers = {"limit": error.limit}, _in(error.retry_after_s)
            title = "Too many of your jobs are waiting"
            return Problem(429, "queue-full", title, str(error), limit, headers)
        case QueuesFull():
            title = "Too many jobs are waiting"
            headers = _in(error.retry_after_s)
            return Problem(503, "queues-full", title, str(error), headers=headers)
        case _:
            assert_never(error)


def _about_rollout(error: RolloutFixed | RolloutMoved | RolloutUnsaid) -> Problem:
    match error:
        case RolloutFixed():
            fixed = {"variables": error.variables}
            return Problem(409, "rollout-fixed", "The environment fixes this", str(error), fixed)
        case RolloutMoved():
            now = {"version": error.version}
            title = "Somebody else changed the rollout"
            return Problem(409, "rollout-moved", title, str(error), now)
        case RolloutUnsaid():
            at = {"pointer": "/percent"}
            return Problem(422, "percent-first", "Say a percent first", str(error), at)
        case _:
            assert_never(error)


def _in(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(ceil(seconds))}


def wrong_parameter(name: str, detail: str) -> Refused:
    return invalid([{"parameter": name, "detail": detail}])


def _in_parameter(error: dict[str, Any]) -> dict[str, str]:
    return {"parameter": ".".join(map(str, error["loc"][1:])), "detail": error["msg"]}
