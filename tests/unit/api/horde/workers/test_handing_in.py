"""Remote workers hand in: once, in time, and only what is theirs."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import pytest
from tests.unit.api.horde.conftest import Requester
from tests.unit.api.horde.workers.conftest import ASKED, WEBP, RemoteWorker

from headrace.contracts.frames import Preview, Progress, decode_frame
from headrace.contracts.ids import START, ClaimId
from headrace.core.ports.store import Renewal, Store
from headrace.core.ports.streams import Streams
from headrace.testkit.waits import eventually


async def done(requester: Requester, request: str) -> Any:
    async def over() -> Any:
        checked = await requester.get(f"generate/check/{request}")
        return checked["done"]

    await eventually(over, within=5)
    return await requester.get(f"generate/status/{request}")


async def test_a_picture_that_was_put_becomes_the_requests_own(
    worker: RemoteWorker, requester: Requester
) -> None:
    accepted = await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.put(job)

    handed_in = await worker.submit(job)
    status = await done(requester, accepted["id"])

    assert type(handed_in["reward"]) in {int, float}
    (made,) = status["generations"]
    assert (made["seed"], made["state"], made["censored"]) == ("7", "ok", False)
    assert made["worker_id"] == (await worker.me())["id"]
    assert (await worker.http.get(made["img"])).content == WEBP
    assert (await worker.me())["requests_fulfilled"] == 1


async def test_who_was_slow_gets_nothing_from_who_wants_no_slow_workers(
    worker: RemoteWorker, requester: Requester, store: Store
) -> None:
    await requester.ask(
        "generate/async", {**ASKED, "params": {"width": 64, "height": 64, "steps": 1}}
    )
    job = await worker.pop()
    await worker.put(job)
    await worker.submit(job)
    await requester.ask("generate/async", {**ASKED, "slow_workers": False})

    me = await worker.me()
    popped = await worker.pop(max_pixels=1 << 19)  # what it says is new, so it is looked up anew

    assert me["performance"].endswith("megapixelsteps per second")
    assert (popped["id"], popped["skipped"]) == (None, {"performance": 1})


async def test_a_picture_as_base64_becomes_it_too(
    worker: RemoteWorker, requester: Requester
) -> None:
    accepted = await requester.ask("generate/async", ASKED)
    job = await worker.pop()

    await worker.submit(job, generation=base64.b64encode(WEBP).decode())

    (made,) = (await done(requester, accepted["id"]))["generations"]
    assert (await worker.http.get(made["img"])).content == WEBP


async def test_text_becomes_the_requests_text(worker: RemoteWorker, requester: Requester) -> None:
    asked = {"prompt": "Once", "models": ["a-writer"], "params": {"max_length": 20}}
    accepted = await requester.ask("generate/text/async", asked)
    worker.models = ["a-writer"]
    job = await worker.pop(path="generate/text/pop")
    body = {"id": job["id"], "generation": " upon a time", "state": "ok"}

    await worker.post("generate/text/submit", body)

    async def told() -> Any:
        status = await requester.get(f"generate/text/status/{accepted['id']}")
        return status["generations"]

    (made,) = await eventually(told, within=5)
    assert made["text"] == " upon a time"
    assert (job["payload"]["prompt"], job["payload"]["max_length"], job["payload"]["n"]) == ("Once", 20, 1)  # fmt: skip


async def test_a_censored_picture_is_told_as_censored(
    worker: RemoteWorker, requester: Requester
) -> None:
    accepted = await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.put(job)
    metadata = [{"type": "censorship", "value": "nsfw"}]

    await worker.submit(job, state="censored", gen_metadata=metadata)

    (made,) = (await done(requester, accepted["id"]))["generations"]
    assert (made["state"], made["censored"]) == ("censored", True)
    assert made["gen_metadata"] == metadata


async def test_what_stands_for_a_picture_that_nobody_may_see_is_shown_if_it_was_brought(
    worker: RemoteWorker, requester: Requester
) -> None:
    accepted = [await requester.ask("generate/async", ASKED) for _ in range(2)]
    brought, not_brought = await worker.pop(), await worker.pop()
    await worker.put(brought)

    for job in (brought, not_brought):
        await worker.submit(job, state="csam", censored=True)

    shown, nothing = [(await done(requester, each["id"]))["generations"] for each in accepted]
    assert [(each["state"], each["censored"]) for each in shown] == [("csam", True)]
    assert nothing == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("generate/text/submit", {"generation": "words", "state": "ok"}),
        ("generate/video/submit", {"generation": "R2", "state": "ok"}),
        ("interrogate/submit", {"result": {"caption": "a fox"}, "state": "ok"}),
    ],
)
async def test_what_was_popped_as_a_picture_is_handed_in_as_one(
    worker: RemoteWorker, requester: Requester, path: str, body: dict[str, Any]
) -> None:
    """Else its request would have succeeded, and been paid for, with nothing to show."""
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.put(job)

    refused = await worker.post(path, {"id": job["id"], **body}, 404)

    assert refused["rc"] == "InvalidJobID"
    assert "does not exist" in refused["message"]
    assert (await worker.submit(job))["reward"] > 0


async def test_what_was_handed_in_already_is_refused_in_the_words_that_clients_look_for(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.put(job)
    await worker.submit(job)

    refused = await worker.submit(job, 400)

    assert refused["rc"] == "DuplicateGen"
    assert "already submitted" in refused["message"]


async def test_of_many_that_hand_the_same_in_at_once_one_is_rewarded(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.put(job)
    body = {"id": job["id"], "generation": "R2", "state": "ok", "seed": 7}

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                worker.http.post("/api/v2/generate/submit", json=body, headers=worker.key)
            )
            for _ in range(5)
        ]
    answers = [task.result() for task in tasks]

    assert sorted(each.status_code for each in answers) == [200, 400, 400, 400, 400]
    assert {each.json().get("rc") for each in answers} == {None, "DuplicateGen"}


async def test_what_nobody_took_does_not_exist(worker: RemoteWorker) -> None:
    for unknown in (str(uuid4()), "no-id-at-all"):
        refused = await worker.submit({"id": unknown}, 404)
        assert refused["rc"] == "InvalidJobID"
        assert refused["message"] == f"Processing Job with ID {unknown} does not exist."


async def test_somebody_elses_job_is_refused(
    worker: RemoteWorker, stranger: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()

    assert (await stranger.submit(job, 403))["rc"] == "WrongCredentials"


async def test_what_comes_after_its_lease_is_too_late_and_the_job_goes_to_another(
    worker: RemoteWorker, stranger: RemoteWorker, requester: Requester, store: Store
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await run_out(store, job["id"])

    async def again() -> Any:
        popped = await stranger.pop()
        return popped if popped["id"] else None

    other = await eventually(again, within=5)
    await worker.put(job)
    late = await worker.submit(job, 404)
    await stranger.put(other)
    in_time = await stranger.submit(other)

    assert late["message"] == f"Processing Job with ID {job['id']} does not exist."
    assert other["id"] != job["id"]
    assert "reward" in in_time


async def run_out(store: Store, claim: str) -> None:
    """Its lease ends now."""
    async with store.begin() as tx:
        take = await tx.take(ClaimId(claim))
        assert take is not None
        job = (await tx.load([take.job]))[take.job]
        await tx.renew(
            [Renewal(job.id, job.epoch, None)],
            worker=take.worker,
            until=job.created_at or await tx.now(),
        )


async def test_a_cancelled_job_is_told_as_aborted(
    worker: RemoteWorker, requester: Requester, store: Store
) -> None:
    accepted = await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await requester.delete(f"generate/status/{accepted['id']}")

    async def heard() -> bool:
        body = {"id": job["id"], "current_step": 1, "total_steps": 2}
        answer = await worker.http.post("/api/v2/generate/progress", json=body, headers=worker.key)
        return answer.status_code == 404

    async def cancelling() -> bool:
        async with store.begin() as tx:
            take = await tx.take(ClaimId(job["id"]))
            assert take is not None
            return (await tx.load([take.job]))[take.job].state == "cancelling"

    await eventually(cancelling, within=5)
    assert await heard()
    await worker.put(job)
    refused = await worker.submit(job, 400)

    assert refused["rc"] == "AbortedGen"
    assert "Please check your worker speed" in refused["message"]


async def test_a_faulted_job_earns_nothing_and_is_tried_again(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()

    handed_in = await worker.submit(job, state="faulted", generation="Faulted")

    async def again() -> Any:
        popped = await worker.pop()
        return popped["id"]

    assert handed_in == {"reward": 0}
    assert await eventually(again, within=5) != job["id"]
    assert (await worker.me())["uncompleted_jobs"] == 1


async def test_without_its_picture_nothing_is_handed_in_and_it_may_be_tried_again(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()

    missing = await worker.submit(job, 400)
    await worker.put(job, b"no picture")
    wrong = await worker.submit(job, 400)
    await worker.put(job)
    right = await worker.submit(job)

    assert missing["rc"] == wrong["rc"] == "ImageValidationFailed"
    assert "reward" in right


async def test_progress_and_previews_are_frames_of_the_jobs_stream(
    worker: RemoteWorker, requester: Requester, streams: Streams, store: Store
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    await worker.post("generate/progress", {"id": job["id"], "current_step": 5, "total_steps": 20})
    shown = await worker.http.post(
        f"/api/v2/generate/preview/{job['id']}",
        content=WEBP,
        headers={**worker.key, "Content-Type": "image/webp", "X-Step": "5"},
    )

    async with store.begin() as tx:
        take = await tx.take(ClaimId(job["id"]))
    assert take is not None
    entries = (await streams.read(take.job, START, limit=20)).entries
    frames = [decode_frame(each.data) for each in entries]

    assert shown.status_code == 200
    assert [each.type for each in entries] == ["queued", "started", "progress", "preview"]
    assert frames[2] == Progress(fraction=0.25, step=5, steps=20)
    image = f"data:image/webp;base64,{base64.b64encode(WEBP).decode()}"
    assert frames[3] == Preview(image=image, step=5)
    assert [each.position.epoch for each in entries] == [0, 1, 1, 1]


async def test_progress_renews_the_lease(
    worker: RemoteWorker, requester: Requester, store: Store
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()

    async def lease() -> Any:
        async with store.begin() as tx:
            take = await tx.take(ClaimId(job["id"]))
            assert take is not None
            return (await tx.load([take.job]))[take.job].lease_until

    before = await lease()
    await worker.post("generate/progress", {"id": job["id"], "current_step": 1, "total_steps": 2})

    assert await lease() > before


async def test_an_address_is_good_for_what_it_was_signed_for(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", ASKED)
    job = await worker.pop()
    other = job["r2_upload"].replace(job["id"], str(uuid4()))

    forged = await worker.http.put(other, content=WEBP)
    got = await worker.http.get(job["r2_upload"])

    assert (forged.status_code, got.status_code) == (403, 403)
    assert forged.json()["rc"] == "Forbidden"
