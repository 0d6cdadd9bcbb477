"""The flow of a requester of images: async, check until done, status, each `img`; DELETE on any trouble."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.unit.api.conftest import RED, Backstage
from tests.unit.api.horde.conftest import IMAGE_MODEL, Requester

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.ids import TenantId
from headrace.core.job import Event
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Query, Store
from headrace.core.ports.webhooks import CallQuery
from headrace.testkit.conformance.store.room import move

ASKED: dict[str, Any] = {"prompt": "a red fox", "models": [IMAGE_MODEL]}
PNG = b"\x89PNG\r\n\x1a\n-and-the-rest"
CHECKED = {
    "finished": int, "processing": int, "restarted": int, "waiting": int, "done": bool, "faulted": bool,
    "wait_time": int, "queue_position": int, "is_possible": bool,
}  # fmt: skip
GENERATED = {
    "id": str, "img": str, "seed": str, "censored": bool, "model": str, "worker_id": str,
    "worker_name": str, "state": str,
}  # fmt: skip


def strictly(view: dict[str, Any], fields: dict[str, type], *others: str) -> None:
    """These fields, of exactly these types, none of them null, and no other ones."""
    assert {name: type(view[name]) for name in fields} == fields
    assert view.keys() == fields.keys() | set(others)


async def finish(deps: ApiDeps, backstage: Backstage, job: str, **more: Any) -> None:
    """As the image engine ends it."""
    blob = await deps.blobs.put(TenantId("anyone"), Blob("image/png", PNG))
    await backstage.finish(job, {"image": {"blob": blob}, "seed": 7, **more})


async def test_an_image_is_asked_for_checked_and_had(
    requester: Requester, deps: ApiDeps, backstage: Backstage, http: httpx.AsyncClient
) -> None:
    accepted = await requester.ask("generate/async", ASKED)
    request = accepted["id"]
    assert UUID(request).version == 4
    assert type(accepted["kudos"]) in {int, float}
    assert accepted.keys() == {"id", "kudos", "warnings"}

    checked = await requester.get(f"generate/check/{request}")
    strictly(checked, CHECKED, "kudos")
    assert (checked["waiting"], checked["done"], checked["queue_position"]) == (1, False, 1)

    job = job_id(request, 0)
    await backstage.start(job)
    checked = await requester.get(f"generate/check/{request}")
    assert (checked["waiting"], checked["processing"], checked["queue_position"]) == (0, 1, 0)

    await finish(deps, backstage, job)
    checked = await requester.get(f"generate/check/{request}")
    assert (checked["finished"], checked["done"], checked["faulted"]) == (1, True, False)
    assert checked["wait_time"] == 0

    status = await requester.get(f"generate/status/{request}")
    strictly(status, CHECKED, "kudos", "generations", "shared")
    (made,) = status["generations"]
    strictly(made, GENERATED)
    assert (made["seed"], made["model"], made["state"]) == ("7", IMAGE_MODEL, "ok")
    assert (made["worker_name"], UUID(made["worker_id"]).version) == ("w1", 5)
    picture = await http.get(made["img"])
    assert (picture.status_code, picture.content) == (200, PNG)
    assert picture.headers["content-type"] == "image/png"


async def test_pictures_come_in_the_body_to_who_wants_no_addresses(
    requester: Requester, deps: ApiDeps, backstage: Backstage
) -> None:
    request = (await requester.ask("generate/async", {**ASKED, "r2": False}))["id"]
    await backstage.start(job_id(request, 0))
    await finish(deps, backstage, job_id(request, 0))

    (made,) = (await requester.get(f"generate/status/{request}"))["generations"]

    assert base64.b64decode(made["img"]) == PNG


async def test_many_images_are_as_many_jobs_each_with_a_seed_of_its_own(
    requester: Requester, deps: ApiDeps, backstage: Backstage, store: Store
) -> None:
    params = {"n": 3, "seed": "41", "width": 128, "height": 128}
    request = (await requester.ask("generate/async", {**ASKED, "params": params}))["id"]
    jobs = [job_id(request, place) for place in range(3)]
    async with store.begin() as tx:
        inputs = [(await tx.load([job]))[job].spec.input for job in jobs]
    assert [each["seed"] for each in inputs] == [41, 42, 43]
    assert inputs[0] == {
        "prompt": "a red fox", "steps": 30, "guidance": 7.5, "seed": 41, "size": 128,
    }  # fmt: skip

    await backstage.start(jobs[1])
    await finish(deps, backstage, jobs[1])
    await backstage.start(jobs[2])
    checked = await requester.get(f"generate/check/{request}")

    counts = [checked[name] for name in ("finished", "processing", "waiting")]
    assert (counts, checked["done"]) == ([1, 1, 1], False)
    made = (await requester.get(f"generate/status/{request}"))["generations"]
    assert [each["id"] for each in made] == [jobs[1]]


async def test_a_faulted_request_is_done(requester: Requester, backstage: Backstage) -> None:
    """Who asks looks at `done` alone, and would ask on for twenty minutes."""
    request = (await requester.ask("generate/async", ASKED))["id"]
    await backstage.start(job_id(request, 0))
    await backstage.fail(job_id(request, 0), {"kind": "internal", "message": "broken"})

    checked = await requester.get(f"generate/check/{request}")

    assert (checked["done"], checked["faulted"], checked["finished"]) == (True, True, 0)


async def test_one_that_failed_does_not_end_the_others(
    requester: Requester, deps: ApiDeps, backstage: Backstage
) -> None:
    request = (await requester.ask("generate/async", {**ASKED, "params": {"n": 2}}))["id"]
    first, second = job_id(request, 0), job_id(request, 1)
    await backstage.start(first)
    await backstage.fail(first, {"kind": "internal", "message": "broken"})
    checked = await requester.get(f"generate/check/{request}")
    assert (checked["done"], checked["faulted"], checked["waiting"]) == (False, False, 1)

    await backstage.start(second)
    await finish(deps, backstage, second)
    status = await requester.get(f"generate/status/{request}")

    assert (status["done"], status["faulted"], len(status["generations"])) == (True, True, 1)


async def test_deleting_ends_it_and_tells_what_there_was(
    requester: Requester, store: Store
) -> None:
    request = (await requester.ask("generate/async", {**ASKED, "params": {"n": 2}}))["id"]

    deleted = await requester.delete(f"generate/status/{request}")

    strictly(deleted, CHECKED, "kudos", "generations", "shared")
    assert (deleted["done"], deleted["waiting"], deleted["faulted"]) == (True, 0, False)
    async with store.begin() as tx:
        wishes = await tx.cancel_wishes("local", limit=10)
    assert {job.id for job in wishes} == {job_id(request, 0), job_id(request, 1)}
    assert (await requester.delete(f"generate/status/{request}"))["done"] is True


@pytest.mark.parametrize(
    "request_id",
    ["1", "x" * 200, "00000000-0000-4000-8000-000000000000", "01JD8Z3T9Q0V6R4W2Y5X7N1M3K", "a%00b"],
)
@pytest.mark.parametrize("path", ["check", "status", "text/status"])
async def test_an_id_that_is_nobodys_is_not_found(
    requester: Requester, path: str, request_id: str
) -> None:
    refused = 400 if "%00" in request_id else 404

    body = await requester.get(f"generate/{path}/{request_id}", refused)

    assert body["rc"] == ("NulByteInPayload" if refused == 400 else "RequestNotFound")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("generate/async", {**ASKED, "params": {"n": 2}}),
        ("generate/text/async", {"prompt": "a", "models": ["a-model-of-nobody-here"]}),
        (
            "interrogate/async",
            {"forms": [{"name": "caption"}], "source_image": "https://pictures.example/1.png"},
        ),
    ],
    ids=["image", "text", "form"],
)
async def test_the_webhook_of_a_request_is_told_of_the_end_of_each_of_its_jobs(
    requester: Requester, store: Store, path: str, body: dict[str, Any]
) -> None:
    named = {**body, "webhook": "https://receiver.example/hook?of=me"}
    request = (await requester.ask(path, named))["id"]

    async with store.begin() as tx:
        jobs = await tx.page(TenantId("anyone"), Query(limit=10))
    for job in jobs:
        await move(store, job, Event.GRANTED, Event.FINISHED)

    async with store.begin() as tx:
        calls = [each for job in jobs for each in await tx.calls(CallQuery(job=job.id, limit=10))]
    assert {each.spec.labels["request"] for each in jobs} == {request}
    assert len(calls) == len(jobs) == body.get("params", {}).get("n", 1)
    assert {(each.type, each.url) for each in calls} == {("job.succeeded", named["webhook"])}
    assert request in calls[0].body


async def test_dashes_are_optional(requester: Requester) -> None:
    request = (await requester.ask("generate/async", ASKED))["id"]

    assert await requester.get(f"generate/check/{request.replace('-', '')}")


async def test_a_jobs_id_is_no_requests_id(requester: Requester) -> None:
    """A worker knows it, and must not be able to end what it works on for others."""
    request = (await requester.ask("generate/async", ASKED))["id"]

    await requester.get(f"generate/check/{job_id(request, 0)}", 404)
    await requester.get(f"generate/text/status/{request}", 404)


async def test_other_doors_see_the_job(http: httpx.AsyncClient) -> None:
    red = Requester(http, RED)
    request = (await red.ask("generate/async", ASKED))["id"]

    page = (await http.get(f"/jobs?label=request:{request}", headers=RED)).json()

    assert [each["id"] for each in page["jobs"]] == [job_id(request, 0)]
    assert page["jobs"][0]["kind"] == "image"


async def test_asking_dry_keeps_nothing(requester: Requester, store: Store) -> None:
    params = {"n": 2, "width": 512, "height": 512, "steps": 50, "sampler_name": "k_euler"}
    quoted = await requester.ask(
        "generate/async", {**ASKED, "dry_run": True, "params": params}, 200
    )

    assert quoted == {"kudos": 20}
    async with store.begin() as tx:
        assert await tx.page(TenantId("anyone"), Query()) == []


async def test_the_stream_is_told_in_a_header(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v2/generate/async", json=ASKED, headers=RED)
    request = answer.json()["id"]

    assert answer.headers["link"] == f'</api/v2/generate/{request}/stream>; rel="stream"'
    assert len(answer.headers["x-trace-id"]) == 32


async def test_what_no_engine_of_ours_can_do_waits_for_a_remote_worker(
    requester: Requester, store: Store, deps: ApiDeps
) -> None:
    source = base64.b64encode(PNG).decode()
    asked = {"prompt": "a fox ### ugly", "models": ["Deliberate", "Other"], "source_image": source}

    accepted = await requester.ask("generate/async", asked)

    assert [each["code"] for each in accepted["warnings"]] == ["NoAvailableWorker"]
    async with store.begin() as tx:
        job = await tx.anybodys(job_id(accepted["id"], 0))
    assert job is not None
    assert (job.lane, job.spec.model, job.spec.payload) == ("remote.image", "Deliberate", None)
    assert job.spec.input["prompt"] == "a fox ### ugly"
    kept = await deps.blobs.get(job.tenant, job.spec.input["source_image"]["blob"])
    assert (kept.data, kept.media_type) == (PNG, "image/png")


async def test_a_remote_worker_may_take_what_an_engine_of_ours_can_do_too(
    requester: Requester, store: Store
) -> None:
    request = (await requester.ask("generate/async", {**ASKED, "params": {"seed": "5"}}))["id"]
    async with store.begin() as tx:
        job = await tx.anybodys(job_id(request, 0))

    assert job is not None
    assert job.lane == "emoji-flow"
    assert job.spec.wants is not None
    assert job.spec.payload is not None
    assert job.spec.payload["params"]["seed"] == "5"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"params": {"steps": "30"}}, "params.steps"),
    ({"params": {"steps": 30.5}}, "params.steps"),
    ({"params": {"steps": None}}, "params.steps"),
    ({"params": {"width": 100}}, "params.width"),
    ({"params": {"width": 4096}}, "params.width"),
    ({"params": {"n": 0}}, "params.n"),
    ({"params": {"n": 21}}, "params.n"),
    ({"params": {"seed": 5}}, "params.seed"),
    ({"models": "emoji-flow"}, "models"),
    ({"nsfw": "yes"}, "nsfw"),
    ({"prompt": 5}, "prompt"),
    ({"source_processing": "dreaming"}, "source_processing"),
    ({"webhook": "http://example.org/"}, "webhook"),
    ({"webhook": "https://10.0.0.1/"}, "webhook"),
    ({"webhook": "https://user@example.org/"}, "webhook"),
    ({"webhook": "not an address"}, "webhook"),
    ({"nsfw": True, "censor_nsfw": True}, "censor_nsfw"),
    ({"models": [f"{number}-{'m' * 200}" for number in range(20)]}, "models"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG, ids=lambda each: str(each)[:40])
async def test_a_wrong_field_is_named(
    requester: Requester, wrong: dict[str, Any], field: str
) -> None:
    body = await requester.ask("generate/async", {**ASKED, **wrong}, 400)

    assert body["message"] == "Input payload validation failed"
    assert list(body["errors"]) == [field]


@pytest.mark.parametrize(
    ("body", "status", "rc"),
    [
        ({"prompt": "  "}, 400, "MissingPrompt"),
        ({}, 400, "MissingPrompt"),
        ({"prompt": "a\0b"}, 400, "NulByteInPayload"),
        ({"prompt": "a", "params": {"seed": "\0"}}, 400, "NulByteInPayload"),
        ({"prompt": "a", "style": "noir"}, 404, "StyleNotFound"),
        ({"prompt": "a", "source_image": "no picture"}, 400, "ImageValidationFailed"),
        ({"prompt": "a", "source_image": "aGVsbG8="}, 400, "ImageValidationFailed"),
        ([], 400, "ValidationError"),
    ],
)
async def test_what_cannot_be_asked_for_is_said_why(
    requester: Requester, body: Any, status: int, rc: str
) -> None:
    assert (await requester.ask("generate/async", body, status))["rc"] == rc


async def test_fields_of_newer_clients_are_ignored(requester: Requester) -> None:
    newer = {"template_fields": {"a": 1}, "params": {"sparkle": 3}}

    assert await requester.ask("generate/async", {**ASKED, **newer})


@pytest.mark.parametrize("headers", [{}, {"apikey": "nobody-has-this-key-22"}])
async def test_without_a_key_of_somebody_nothing_is_taken_in(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await http.post("/api/v2/generate/async", json=ASKED, headers=headers)

    assert (answer.status_code, answer.json()["rc"]) == (401, "InvalidAPIKey")


@pytest.mark.parametrize("name", ["client_agent", "Client-Agent"])
async def test_the_clients_name_is_kept_with_the_job(
    requester: Requester, store: Store, name: str
) -> None:
    accepted = await requester.ask("generate/async", ASKED, headers={name: "fox:1.0:me"})
    async with store.begin() as tx:
        job = await tx.anybodys(job_id(accepted["id"], 0))

    assert job is not None
    assert job.spec.labels["client_agent"] == "fox:1.0:me"


async def test_a_mask_alone_is_refused(requester: Requester) -> None:
    asked = {**ASKED, "source_mask": base64.b64encode(PNG).decode()}

    refused = await requester.ask("generate/async", asked, 400)

    assert refused["rc"] == "SourceMaskUnnecessary"
