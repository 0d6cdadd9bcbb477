"""The api against its own description, with requests that nobody would think of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)
from typing_extensions import override

pytestmark = pytest.mark.real
TOO_LARGE = 413
RED, OPERATOR = {"apikey": "key-of-red"}, {"apikey": "key-of-operators"}
LOOKER = {"apikey": "key-of-lookers"}  # with red's kept in the store
OPERATIONS = (
    "POST /jobs",
    "POST /jobs/inference",
    "POST /jobs/training",
    "GET /jobs",
    "GET /jobs/statuses",
    "GET /jobs/{job}",
    "GET /jobs/{job}/status",
    "GET /jobs/{job}/result",
    "GET /jobs/{job}/timeline",
    "GET /jobs/{job}/explain",
    "POST /jobs/{job}/cancel",
    "POST /jobs/{job}/retry",
    "POST /schedules",
    "GET /schedules",
    "GET /schedules/{schedule}",
    "POST /schedules/{schedule}/pause",
    "POST /schedules/{schedule}/resume",
    "POST /schedules/{schedule}/run-now",
    "DELETE /schedules/{schedule}",
    "GET /pipelines",
    "POST /runs",
    "GET /runs",
    "GET /runs/{run}",
    "POST /runs/{run}/cancel",
    "POST /runs/{run}/stages/{stage}/retry",
    "POST /runs/{run}/refinements",
    "POST /runs/{run}/captions",
    "POST /batches",
    "GET /batches",
    "GET /batches/{batch}",
    "GET /batches/{batch}/results",
    "POST /batches/{batch}/cancel",
    "GET /admin/batches",
    "GET /admin/dead-letters/groups",
    "GET /admin/dead-letters",
    "GET /admin/dead-letters/{number}",
    "POST /admin/dead-letters/{number}/replay",
    "POST /admin/dead-letters/{number}/discard",
    "POST /admin/dead-letters/replay",
    "POST /admin/dead-letters/discard",
    "GET /admin/audit",
    "GET /models",
    "GET /models/registered",
    "GET /models/{name}",
    "POST /models/{name}/versions",
    "GET /models/{name}/versions",
    "GET /models/{name}/versions/{version}",
    "DELETE /models/{name}/versions/{version}",
    "POST /models/{name}/route",
    "POST /models/{name}/promote",
    "POST /models/{name}/rollback",
    "GET /models/{name}/routes",
    "GET /models/{name}/performance",
    "POST /jobs/{job}/feedback",
    "GET /admin/models",
    "GET /admin/models/{tenant}/{name}",
    "PUT /admin/models/{tenant}/{name}",
    "GET /admin/models/{tenant}/{name}/versions",
    "GET /admin/models/{tenant}/{name}/performance",
    "POST /admin/lanes/{lane}/pause",
    "POST /admin/lanes/{lane}/resume",
    "GET /admin/lanes",
    "GET /jobs/{job}/logs",
    "GET /admin/overview",
    "GET /admin/workers",
    "POST /admin/workers/{worker}/drain",
    "POST /admin/workers/{worker}/resume",
    "GET /admin/jobs",
    "GET /admin/jobs/{job}",
    "GET /admin/jobs/{job}/timeline",
    "GET /admin/jobs/{job}/explain",
    "POST /admin/jobs/cancel",
    "POST /admin/jobs/retry",
    "POST /admin/jobs/{job}/move",
    "GET /admin/tenants/{tenant}",
    "PUT /admin/tenants/{tenant}",
    "GET /admin/tenants",
    "GET /admin/whoami",
    "GET /admin/keys",
    "POST /admin/keys",
    "POST /admin/keys/{key}/revoke",
    "GET /admin/users",
    "POST /admin/users",
    "GET /admin/users/{user}",
    "PATCH /admin/users/{user}",
    "POST /admin/users/{user}/grant",
    "GET /admin/ledger",
    "GET /api/v2/find_user",
    "GET /api/v2/users",
    "GET /api/v2/users/{user_id}",
    "PUT /api/v2/users/{user_id}",
    "POST /api/v2/users/register",
    "PUT /api/v2/sharedkeys",
    "GET /api/v2/sharedkeys/{sharedkey_id}",
    "PATCH /api/v2/sharedkeys/{sharedkey_id}",
    "DELETE /api/v2/sharedkeys/{sharedkey_id}",
    "POST /api/v2/kudos/transfer",
    "POST /api/v2/generate/async",
    "GET /api/v2/generate/check/{id}",
    "GET /api/v2/generate/status/{id}",
    "DELETE /api/v2/generate/status/{id}",
    "POST /api/v2/generate/text/async",
    "GET /api/v2/generate/text/status/{id}",
    "DELETE /api/v2/generate/text/status/{id}",
    "POST /api/v2/generate/video/async",
    "GET /api/v2/generate/video/check/{id}",
    "GET /api/v2/generate/video/status/{id}",
    "DELETE /api/v2/generate/video/status/{id}",
    "POST /api/v2/interrogate/async",
    "GET /api/v2/interrogate/status/{id}",
    "DELETE /api/v2/interrogate/status/{id}",
    "GET /api/v2/status/heartbeat",
    "GET /api/v2/status/models",
    "GET /api/v2/status/models/{name}",
    "GET /api/v2/status/performance",
    "GET /api/v2/status/news",
    "GET /api/v2/status/modes",
    "GET /api/v2/stats/img/totals",
    "GET /api/v2/stats/img/models",
    "GET /api/v2/stats/text/totals",
    "GET /api/v2/stats/text/models",
    "GET /api/v2/blobs/{blob}",
    "PUT /api/v2/blobs/{blob}",
    "POST /api/v2/generate/pop",
    "POST /api/v2/generate/text/pop",
    "POST /api/v2/generate/video/pop",
    "POST /api/v2/generate/video/submit",
    "POST /api/v2/interrogate/pop",
    "POST /api/v2/workers/pop",
    "POST /api/v2/generate/submit",
    "POST /api/v2/generate/text/submit",
    "POST /api/v2/interrogate/submit",
    "POST /api/v2/generate/progress",
    "POST /api/v2/generate/preview/{generation}",
    "GET /api/v2/styles/image",
    "GET /api/v2/styles/image/{id}",
    "GET /api/v2/styles/image_by_name/{id}",
    "GET /api/v2/styles/text",
    "GET /api/v2/styles/text/{id}",
    "GET /api/v2/styles/text_by_name/{id}",
    "GET /api/v2/collections",
    "GET /api/v2/collections/{id}",
    "GET /api/v2/collection_by_name/{id}",
    "GET /api/v2/teams",
    "GET /api/v2/teams/{id}",
    "GET /api/v2/workers",
    "GET /api/v2/workers/name/{name}",
    "GET /api/v2/workers/{worker}",
    "PUT /api/v2/workers/{worker}",
    "DELETE /api/v2/workers/{worker}",
    "GET /admin/rollout",
    "PUT /admin/rollout",
    "POST /admin/rollout/rollback",
    "POST /webhooks",
    "GET /webhooks",
    "GET /webhooks/{webhook}",
    "PATCH /webhooks/{webhook}",
    "DELETE /webhooks/{webhook}",
    "GET /webhooks/{webhook}/secret",
    "POST /webhooks/{webhook}/secret/rotate",
    "GET /webhooks/deliveries",
    "GET /webhooks/deliveries/{delivery}",
    "POST /webhooks/deliveries/{delivery}/redeliver",
    "GET /admin/schedules",
    "POST /admin/schedules",
    "GET /admin/schedules/{schedule}",
    "POST /admin/schedules/{schedule}/pause",
    "POST /admin/schedules/{schedule}/resume",
    "POST /admin/schedules/{schedule}/run-now",
    "DELETE /admin/schedules/{schedule}",
    "GET /admin/webhooks",
    "GET /admin/webhooks/deliveries",
    "GET /admin/webhooks/deliveries/{delivery}",
    "POST /admin/webhooks/deliveries/{delivery}/redeliver",
    "POST /tickets",
    "POST /blobs",
    "GET /blobs/{blob}",
    "GET /blobs/{blob}/link",
    "OPTIONS /uploads",
    "POST /uploads",
    "HEAD /uploads/{upload}",
    "GET /uploads/{upload}",
    "PATCH /uploads/{upload}",
    "DELETE /uploads/{upload}",
    "DELETE /jobs/{job}",
    "POST /jobs/delete",
    "DELETE /runs/{run}",
    "DELETE /batches/{batch}",
    "GET /deletions/{deletion}",
    "DELETE /admin/tenants/{tenant}/data",
    "GET /admin/deletions/{deletion}",
    "POST /conversations/{conversation}/messages",
    "GET /conversations/{conversation}/messages",
    "POST /stream/{task_id}/stop",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "POST /v1/images/generations",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /health",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
)
TAKING_ARGUMENTS = tuple(
    name
    for name in OPERATIONS
    if any(
        word in name
        for word in (
            *(
                "job",
                "schedule",
                "/run",
                "batch",
                "admin",
                "POST /blobs",
                "conversation",
                "stream",
                "POST /v1",
            ),
            *("/async", "img/models", "/users/", "sharedkeys", "transfer", "webhook", " /models/"),
        )
    )
)
FEW, MANY = 10, 100  # examples of each operation


@pytest.fixture(scope="module")
def tally(figures: list[str]) -> Iterator[Counter[str]]:
    tally: Counter[str] = Counter()
    yield tally
    statuses = ", ".join(f"{tally[status]} of {status}" for status in sorted(tally))
    figures.append(f"schemathesis: {tally.total()} calls; {statuses}")


@pytest.fixture(scope="module")
def described(door: Any, tally: Counter[str]) -> Any:
    found = schemathesis.openapi.from_url(f"{door.url}/openapi.json")

    @found.hook("after_call")
    def count(context: Any, case: Any, response: Any) -> None:
        tally[str(response.status_code)] += 1

    return found.exclude(
        path_regex="/events$|^/stream/[^/]*$|/stream$"
    )  # they do not end while the job does not


FULL = pytest.param(MANY, marks=[pytest.mark.full, pytest.mark.timeout(600)])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("examples", [FEW, FULL])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_api_keeps_to_its_description(described: Any, name: str, examples: int) -> None:
    """No server error, no undocumented status, media type, header or body; nothing without a key."""
    explore(described, name, GenerationMode.POSITIVE, examples)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("examples", [FEW, FULL])
@pytest.mark.parametrize("name", TAKING_ARGUMENTS)
def test_what_breaks_the_description_is_refused(described: Any, name: str, examples: int) -> None:
    explore(described, name, GenerationMode.NEGATIVE, examples)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("examples", [3, pytest.param(60, marks=pytest.mark.full)])
def test_what_an_answer_names_can_be_followed(described: Any, examples: int) -> None:
    """Submit, then get, cancel, retry, pause, delete, along the links of the description."""
    run = settings(
        max_examples=examples,
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    walk = described.as_state_machine()

    class Walk(walk):  # type: ignore[misc, valid-type]  # made by schemathesis
        @override
        def before_call(self, case: Any) -> None:
            prepare(case)

        @override
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"timeout": 10, "headers": key_for(case)}

        @override
        def validate_response(self, response: Any, case: Any, **kwargs: Any) -> None:
            case.validate_response(
                response,
                excluded_checks=not_promised(case),
                transport_kwargs=kwargs,
                recorder=self.recorder,
            )

    Walk.run(settings=run)


def test_no_operation_is_forgotten(described: Any) -> None:
    operations = [each.ok() for each in described.get_all_operations()]

    assert {f"{each.method.upper()} {each.path}" for each in operations} == set(OPERATIONS)


@schemathesis.serializer("application/offset+octet-stream")
def piece_of_an_upload(_: Any, value: Any) -> bytes:
    """Its bytes, as any are sent."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def prepare(case: Any) -> None:
    """With what is not in the description: the kinds, cron grammar and zones there are here."""
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.body = fitting(case.body, case.path) if isinstance(case.body, dict) else case.body
    made_up = case.headers or {}
    case.headers = {
        k: v for k, v in made_up.items() if k.lower() not in {"apikey", "authorization"}
    }


def not_promised(case: Any) -> list[Any]:
    """Which kinds, models and cursors there are is not described; and a blob's bytes are not read.

    A key that nobody has is 404 where it is asked whose it is: so the protocol has it.
    """
    of_blobs = [negative_data_rejection] if case.path == "/blobs" else []
    of_keys = [ignored_auth] if case.path == "/api/v2/find_user" else []
    return [positive_data_acceptance, *of_blobs, *of_keys]


def key_for(case: Any) -> dict[str, str]:
    if not case.path.startswith("/admin"):
        return RED
    return LOOKER if case.method.upper() == "GET" else OPERATOR


def fitting(body: dict[str, Any], path: str) -> dict[str, Any]:
    if path.startswith("/v1/"):
        kinds = {"/v1/embeddings": "embedding", "/v1/images/generations": "image"}
        return {**body, "model": f"a-{kinds.get(path, 'text')}"}
    run = {"kind": "text", "model": "echo"}
    if "cron" in body and isinstance(body.get("job"), dict):
        schedule = {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}
        return {**body, **schedule, "job": {**body["job"], **run}}
    if "content" in body:  # of a conversation
        return {**body, "model": "echo", "producer": "worker"}
    return {**body, **run} if "input" in body else body


def explore(described: Any, name: str, mode: GenerationMode, examples: int) -> None:
    """By hand, since schemathesis's own parametrize needs an older pytest."""
    method, path = name.split()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def keeps_to_it(case: Any) -> None:
        prepare(case)
        answer = case.call(timeout=10, headers=key_for(case))
        # What is too long is refused by its length before anybody reads whether it fits.
        refused = [negative_data_rejection] if answer.status_code == TOO_LARGE else []
        case.validate_response(answer, excluded_checks=[*not_promised(case), *refused])

    keeps_to_it()
