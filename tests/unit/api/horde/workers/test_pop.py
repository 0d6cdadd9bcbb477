"""Remote workers ask for work: what they are given, what they are not, and why."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from tests.unit.api.horde.conftest import IMAGE_MODEL, Requester
from tests.unit.api.horde.workers.conftest import ASKED, REMOTE_MODEL, RemoteWorker

from headrace.api import remote_desk
from headrace.testkit.waits import eventually


async def test_nothing_waits_and_nothing_is_given(worker: RemoteWorker) -> None:
    assert await worker.pop() == {"id": None, "ids": [], "payload": {}, "skipped": {}}


async def test_a_job_comes_with_all_that_its_worker_needs(
    worker: RemoteWorker, requester: Requester
) -> None:
    params = {"width": 512, "height": 768, "steps": 20, "cfg_scale": 5, "seed": "42"}
    await requester.ask("generate/async", {**ASKED, "params": params})

    job = await worker.pop()

    assert UUID(job["id"]).version == 4
    assert job["ids"] == [job["id"]]
    assert (job["model"], job["ttl"], job["skipped"]) == (REMOTE_MODEL, 30, {})
    assert job["r2_uploads"] == [job["r2_upload"]]
    payload = job["payload"]
    assert payload["prompt"] == "a red fox"
    assert (payload["width"], payload["height"], payload["ddim_steps"]) == (512, 768, 20)
    assert (payload["seed"], payload["n_iter"]) == ("42", 1)


async def test_a_job_of_one_of_our_own_models_is_for_remote_workers_too(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", {**ASKED, "models": [IMAGE_MODEL]})
    worker.models = [IMAGE_MODEL]

    job = await worker.pop()

    assert job["model"] == IMAGE_MODEL
    assert job["payload"]["prompt"] == "a red fox"


async def test_one_job_is_given_once(
    worker: RemoteWorker, stranger: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.pop()) for each in (worker, stranger)]

    assert sorted(task.result()["id"] is None for task in tasks) == [False, True]


SKIPPED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("models", {"models": ["yet-another"]}, {}),
    ("nsfw", {"nsfw": True}, {"nsfw": False}),
    ("max_pixels", {"params": {"width": 1024, "height": 1088}}, {}),
    ("untrusted", {"trusted_workers": True}, {}),
    ("blacklist", {}, {"blacklist": ["RED fox"]}),
    ("step_count", {"params": {"steps": 100}}, {"limit_max_steps": True}),
    ("lora", {"params": {"loras": [{"name": "a"}]}}, {}),
    ("post-processing", {"params": {"post_processing": ["GFPGAN"]}}, {"allow_post_processing": False}),
    ("controlnet", {"params": {"control_type": "canny"}}, {}),
    ("kudos", {}, {"require_upfront_kudos": True}),
    ("performance", {}, {"extra_slow_worker": True}),
    ("worker_id", {"workers": ["00000000-0000-4000-8000-000000000000"]}, {}),
    ("img2img", {"source_image": "https://pictures.example/1.png"}, {"allow_img2img": False}),
    (
        "painting",
        {"source_image": "https://pictures.example/1.png", "source_processing": "inpainting"},
        {"allow_painting": False},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "asked", "can"), SKIPPED, ids=[reason for reason, _, _ in SKIPPED]
)
async def test_what_does_not_fit_is_skipped_and_counted(
    worker: RemoteWorker,
    requester: Requester,
    reason: str,
    asked: dict[str, Any],
    can: dict[str, Any],
) -> None:
    await requester.ask("generate/async", {**ASKED, **asked})

    popped = await worker.pop(**can)

    assert popped["id"] is None
    assert popped["skipped"] == {reason: 1}


async def test_a_request_is_possible_once_a_remote_worker_that_fits_it_has_asked(
    worker: RemoteWorker, requester: Requester
) -> None:
    asked = {**ASKED, "params": {"width": 1024, "height": 1024}}
    request = (await requester.ask("generate/async", asked))["id"]

    async def seen() -> Any:
        return await requester.get(f"generate/check/{request}")

    async def is_possible() -> bool:
        return bool((await seen())["is_possible"])

    await worker.pop(max_pixels=1 << 18)
    with_a_small_one = await seen()
    # It can draw this, and bars a word of it: that it takes nothing leaves the request waiting.
    await worker.pop(blacklist=["fox"], threads=2)
    await eventually(is_possible, within=5)

    assert (with_a_small_one["is_possible"], with_a_small_one["waiting"]) == (False, 1)
    assert (await seen())["wait_time"] > 0


async def test_a_waiting_worker_has_the_job_as_soon_as_it_comes(
    worker: RemoteWorker, requester: Requester
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.pop(path="workers/pop"))
        await eventually(worker.me, within=5)
        await requester.ask("generate/async", ASKED)

    assert waiting.result()["model"] == REMOTE_MODEL


async def test_a_waiting_worker_is_told_after_its_time_what_was_skipped(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", {**ASKED, "models": ["yet-another"]})

    popped = await worker.pop(path="workers/pop")

    assert popped == {"id": None, "ids": [], "payload": {}, "skipped": {"models": 1}}


async def test_where_too_many_wait_already_one_is_told_when_to_ask_again(
    worker: RemoteWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_desk, "WAITING_AT_MOST", 0)

    body = {"name": worker.name, "models": worker.models}
    answer = await worker.http.post("/api/v2/workers/pop", json=body, headers=worker.key)
    at_once = await worker.pop()

    assert (answer.status_code, answer.json()["rc"]) == (429, "TooManyWaiting")
    assert answer.headers["retry-after"] == "5"
    assert at_once["id"] is None


async def test_the_first_pop_registers_a_worker(worker: RemoteWorker) -> None:
    await worker.pop(bridge_agent="Tester:1:nobody", threads=2)

    me = await worker.me()

    assert (me["type"], me["name"], me["threads"]) == ("image", "drawer", 2)
    assert (me["bridge_agent"], me["maintenance_mode"], me["online"]) == ("Tester:1:nobody", False, True)  # fmt: skip
    assert (me["models"], me["requests_fulfilled"]) == ([REMOTE_MODEL], 0)


async def test_somebody_elses_name_is_refused(worker: RemoteWorker, stranger: RemoteWorker) -> None:
    await worker.pop()
    stranger.name = worker.name

    refused = await stranger.pop(403)

    assert refused["rc"] == "WrongCredentials"
    assert "wrong credentials" in refused["message"].lower()


async def test_a_name_is_for_one_kind_of_worker(worker: RemoteWorker) -> None:
    await worker.pop()

    refused = await worker.pop(400, path="generate/text/pop")

    assert refused["rc"] == "PolymorphicNameConflict"


async def test_anonymous_may_not_work(worker: RemoteWorker) -> None:
    worker.key = {"apikey": "0000000000"}

    assert (await worker.pop(403))["rc"] == "AnonForbiddenWorker"


async def test_without_a_key_or_a_name_nobody_works(worker: RemoteWorker) -> None:
    nameless = await worker.post("generate/pop", {"models": ["a"]}, 400)
    worker.key = {}
    keyless = await worker.pop(401)

    assert "name" in nameless["errors"]
    assert keyless["rc"] == "InvalidAPIKey"


async def test_a_worker_in_maintenance_is_told_so_in_the_words_that_clients_look_for(
    worker: RemoteWorker, requester: Requester
) -> None:
    await worker.pop()
    me = await worker.me()
    told = await worker.change(me["id"], {"maintenance": True, "maintenance_msg": "a new disk"})
    await requester.ask("generate/async", ASKED)

    refused = await worker.pop(403)
    await worker.change(me["id"], {"maintenance": False})
    job = await worker.pop()

    assert told == {"maintenance": True}  # its client knows no other field
    assert refused["rc"] == "WorkerMaintenance"
    assert "maintenance mode" in refused["message"]
    assert job["id"] is not None


async def test_a_paused_worker_gets_nothing_and_no_reason(
    worker: RemoteWorker, requester: Requester
) -> None:
    await worker.pop()
    await worker.change((await worker.me())["id"], {"paused": True})
    await requester.ask("generate/async", ASKED)

    assert (await worker.pop())["id"] is None


async def test_only_its_owner_changes_or_deletes_a_worker(
    worker: RemoteWorker, stranger: RemoteWorker
) -> None:
    await worker.pop()
    me = (await worker.me())["id"]

    refused = await stranger.change(me, {"maintenance": True}, 403)
    kept = await stranger.http.delete(f"/api/v2/workers/{me}", headers=stranger.key)
    gone = await worker.http.delete(f"/api/v2/workers/{me}", headers=worker.key)

    assert refused["rc"] == kept.json()["rc"] == "NotOwner"
    assert gone.json() == {"deleted_id": me, "deleted_name": "drawer"}
    assert (await worker.http.get(f"/api/v2/workers/{me}")).json()["rc"] == "WorkerNotFound"


@pytest.mark.parametrize(
    ("body", "status", "rc"),
    [
        ({}, 400, "NoWorkerModSelected"),
        ({"team": "0bed257b-e57c-4327-ac64-40cdfb1ac5e6"}, 404, "TeamNotFound"),
        ({"name": "another's"}, 400, "WorkerNameAlreadyExists"),
    ],
    ids=["nothing", "a team", "a name that is taken"],
)
async def test_what_cannot_be_changed_of_a_worker_is_said(
    worker: RemoteWorker, stranger: RemoteWorker, body: Any, status: int, rc: str
) -> None:
    stranger.name = "another's"
    await stranger.pop()
    await worker.pop()
    me = (await worker.me())["id"]

    refused = await worker.change(me, body, status)

    assert refused["rc"] == rc
    assert await worker.change(me, {"team": ""}) == {"team": "None"}


async def test_workers_are_listed_by_type(worker: RemoteWorker, stranger: RemoteWorker) -> None:
    await worker.pop()
    await stranger.pop(path="generate/text/pop")

    async def names(query: str) -> list[str]:
        listed = await worker.http.get(f"/api/v2/workers{query}")
        return sorted(each["name"] for each in listed.json())

    assert await names("") == ["another", "drawer"]
    assert await names("?type=text") == ["another"]
    assert await names("?type=interrogation") == []
    assert await names("?name=drawer") == ["drawer"]
