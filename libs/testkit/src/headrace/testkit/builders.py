"""Jobs as tests want them: say what matters, the rest is sensible."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headrace.contracts.ids import (
    BatchId,
    BlobId,
    ClaimId,
    EndpointId,
    JobId,
    KeyId,
    Lane,
    RunId,
    ScheduleId,
    TenantId,
    UserId,
    WorkerId,
)
from headrace.contracts.messages import Artefact
from headrace.core.batch import Batch
from headrace.core.job import HELD, Job, Spec, State
from headrace.core.models import NewVersion
from headrace.core.pipeline import Given, Pipeline, Plain, Stage
from headrace.core.ports.dead_letters import DeadLetter, Source
from headrace.core.ports.keys import ApiKey, Scope
from headrace.core.ports.schedules import Schedule
from headrace.core.ports.store import IdempotencyKey, NewJob
from headrace.core.ports.users import BANK, Entry, Reason, User
from headrace.core.ports.webhooks import Endpoint
from headrace.core.run import Run

# Of no meaning beside a store's clock, except that it is long over.
LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_OF_SPEC: Final = frozenset(
    {
        "kind",
        "nodes",
        "gpus",
        "model",
        "input",
        "priority",
        "timeout_s",
        "start_deadline",
        "labels",
        "cancel_after_s",
        "conversation",
        "wants",
        "payload",
        "webhook",
        "register_as",
    }
)


def a_job_id() -> JobId:
    return JobId(str(uuid.uuid4()))


def a_spec(**fields: Any) -> Spec:
    return Spec(**{"kind": "echo", "model": "echo", "input": {"text": "hello"}, **fields})


def a_job(*, state: State = State.QUEUED, **fields: Any) -> Job:
    """A job in any state, with what belongs to that state. Fields of its spec may be named too."""
    of_spec = {name: fields.pop(name) for name in _OF_SPEC & fields.keys()}
    usual: dict[str, Any] = {
        "id": a_job_id(),
        "tenant": TenantId("tenant"),
        "spec": a_spec(**of_spec),
        "lane": Lane("echo"),
        "path": "local",
        "state": state,
    }
    return Job(**{**usual, **_of_state(state), **fields})


def _of_state(state: State) -> dict[str, Any]:
    if state is State.SCHEDULED:
        return {"not_before": LONG_AGO}
    if state is State.QUEUED:
        return {}
    ran = {"epoch": 1, "attempt": 1, "created_at": LONG_AGO, "started_at": LONG_AGO}
    if state in HELD:
        return ran | {
            "worker": WorkerId("worker"),
            "claim": ClaimId("claim"),
            "lease_until": LONG_AGO + timedelta(seconds=30),
        }
    ended = ran | {"epoch": 2, "finished_at": LONG_AGO}
    if state is State.SUCCEEDED:
        return ended | {"output": {"text": "hello"}, "progress": 1.0}
    if state is State.CANCELLED:
        return ended | {"cancel_asked_at": LONG_AGO}
    return ended | {"error": {"kind": "internal", "message": "it broke"}}


def a_new_job(
    *, key: str | None = None, fingerprint: str = "the same request", **fields: Any
) -> NewJob:
    """A job as it is submitted, with an idempotency key if one is named."""
    idempotency = None if key is None else IdempotencyKey(key, fingerprint)
    return NewJob(a_job(**fields), idempotency)


def a_dead_letter(**fields: Any) -> DeadLetter:
    """A message that could not be read, unlike every other."""
    body = fields.get("body", b"\xff\x00 nonsense")
    usual: dict[str, Any] = {
        "source": Source.MESSAGE,
        "message": str(uuid.uuid4()),
        "reason": "cannot be read",
        "fingerprint": "f00d",
        "title": "cannot be read",
        "path": "local",
        "queue": "headrace.results",
        "headers": {"traceparent": "00-1-2-01"},
        "body": body,
        "size": len(body),
    }
    return DeadLetter(**{**usual, **fields})


def a_schedule(**fields: Any) -> Schedule:
    usual: dict[str, Any] = {
        "id": ScheduleId(str(uuid.uuid4())),
        "tenant": TenantId("tenant"),
        "cron": "0 6 * * *",
        "timezone": "Europe/Berlin",
        "job": {"kind": "echo", "model": "small", "input": {"text": "again"}},
        "path": "local",
        "next_at": LONG_AGO,
    }
    return Schedule(**{**usual, **fields})


def a_stage(name: str = "first", **fields: Any) -> Stage:
    """An echo of the run's text, ready to run."""
    usual: dict[str, Any] = {
        "name": name,
        "kind": "echo",
        "model": "small",
        "lane": "echo",
        "input": {"text": Given("text")},
        "gives": {"text": Plain.TEXT},
    }
    return Stage(**{**usual, **fields})


def a_pipeline(*stages: Stage, **fields: Any) -> Pipeline:
    usual: dict[str, Any] = {"name": "test", "title": "", "takes": {"text": Plain.TEXT}}
    return Pipeline(**{**usual, "stages": stages, **fields})


def a_run(*stages: Stage, **fields: Any) -> Run:
    usual: dict[str, Any] = {
        "id": RunId(str(uuid.uuid4())),
        "tenant": TenantId("tenant"),
        "pipeline": "test",
        "stages": stages or (a_stage(),),
        "input": {"text": "hello"},
        "path": "local",
    }
    return Run(**{**usual, **fields})


def a_batch(**fields: Any) -> Batch:
    """Of ten items, none of which has begun."""
    usual: dict[str, Any] = {
        "id": BatchId(str(uuid.uuid4())),
        "tenant": TenantId("tenant"),
        "path": "local",
        "kind": "echo",
        "source": BlobId(f"{uuid.uuid4()}.jsonl"),
        "total": 10,
    }
    return Batch(**{**usual, **fields})


def an_api_key(*scopes: Scope, **fields: Any) -> ApiKey:
    """One that may submit, unless scopes are named."""
    usual: dict[str, Any] = {
        "id": KeyId(str(uuid.uuid4())),
        "tenant": TenantId("tenant"),
        "name": "of a test",
        "scopes": frozenset(scopes or {Scope.SUBMIT}),
        "hint": "abcd",
    }
    return ApiKey(**{**usual, **fields})


def a_user(**fields: Any) -> User:
    """As it is before it has a number."""
    usual: dict[str, Any] = {
        "id": UserId(-2),
        "tenant": TenantId(f"user-{uuid.uuid4().hex[:12]}"),
        "alias": "somebody",
        "concurrency": 30,
    }
    return User(**{**usual, **fields})


def an_entry(**fields: Any) -> Entry:
    """From the bank, unless it says."""
    usual: dict[str, Any] = {
        "id": f"test:{uuid.uuid4()}",
        "reason": Reason.GRANT,
        "source": BANK,
    }
    return Entry(**{**usual, **fields})


def an_artefact(**fields: Any) -> Artefact:
    usual: dict[str, Any] = {
        "tenant": TenantId("tenant"),
        "blob": BlobId(f"{uuid.uuid4()}.bin"),
        "format": "test-weights",
        "sha256": "ab" * 32,
        "bytes": 3,
    }
    return Artefact(**{**usual, **fields})


def a_new_version(**fields: Any) -> NewVersion:
    """Of a model that nobody else has, unless a name is given."""
    tenant = fields.get("tenant", TenantId("tenant"))
    usual: dict[str, Any] = {
        "tenant": tenant,
        "name": f"model-{uuid.uuid4().hex[:12]}",
        "artefact": an_artefact(tenant=tenant),
        "made_by": "of a test",
    }
    return NewVersion(**{**usual, **fields})


def an_endpoint(**fields: Any) -> Endpoint:
    usual: dict[str, Any] = {
        "id": EndpointId(str(uuid.uuid4())),
        "tenant": TenantId("tenant"),
        "url": "https://receiver.example/hook",
    }
    return Endpoint(**{**usual, **fields})
