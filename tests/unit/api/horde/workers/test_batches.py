"""Workers that take several at once, and workers of videos."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.api.horde.conftest import Requester
from tests.unit.api.horde.workers.conftest import ASKED, REMOTE_MODEL, WEBP, RemoteWorker

from headrace.testkit.waits import eventually

WEBM = b"\x1a\x45\xdf\xa3-and-the-rest"


async def status_of(requester: Requester, request: str, kind: str = "") -> Any:
    async def done() -> Any:
        status = await requester.get(f"generate/{kind}status/{request}")
        return status if status["done"] else None

    return await eventually(done, within=5)


async def test_n_images_of_one_request_come_as_one_batch_and_are_handed_in_one_by_one(
    worker: RemoteWorker, requester: Requester
) -> None:
    asked = {**ASKED, "params": {"n": 3, "seed": "42"}}
    request = (await requester.ask("generate/async", asked))["id"]

    job = await worker.pop(amount=5)
    for place, (claim, upload) in enumerate(zip(job["ids"], job["r2_uploads"], strict=True)):
        await worker.put({"r2_upload": upload}, WEBP + bytes([place]))
        await worker.submit({"id": claim}, seed=42 + place)

    assert job["id"] == job["ids"][0]
    assert len(set(job["ids"])) == 3
    assert (job["payload"]["n_iter"], job["payload"]["seed"]) == (3, "42")
    assert job["r2_upload"] == job["r2_uploads"][0]
    made = (await status_of(requester, request))["generations"]
    assert [each["seed"] for each in made] == ["42", "43", "44"]
    pictures = [(await worker.http.get(each["img"])).content for each in made]
    assert pictures == [WEBP + bytes([place]) for place in range(3)]


async def test_one_is_given_where_one_is_asked_for(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/async", {**ASKED, "params": {"n": 3}})

    job = await worker.pop()

    assert (len(job["ids"]), job["payload"]["n_iter"]) == (1, 1)


async def test_who_waits_for_several_has_them_when_they_come(
    worker: RemoteWorker, requester: Requester
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.pop(path="workers/pop", amount=2))
        await requester.ask("generate/async", {**ASKED, "params": {"n": 2}})

    assert len(waiting.result()["ids"]) == 2


async def test_texts_come_as_a_batch_too(worker: RemoteWorker, requester: Requester) -> None:
    await requester.ask("generate/text/async", {**ASKED, "params": {"n": 2}})

    job = await worker.pop(path="generate/text/pop", amount=2)

    assert len(job["ids"]) == 2
    assert job["payload"]["n"] == 2


async def test_forms_come_together_each_with_what_it_needs(
    worker: RemoteWorker, requester: Requester
) -> None:
    names = ["caption", "interrogation", "nsfw"]
    picture = {"source_image": "https://pictures.example/1.png"}
    forms = [{"name": name} for name in names]
    await requester.ask("interrogate/async", {"forms": forms, **picture})
    body = {"name": "reader", "forms": names, "amount": 2}

    popped = await worker.post("interrogate/pop", body)
    rest = await worker.post("interrogate/pop", body)

    found = [*popped["forms"], *rest["forms"]]
    assert [len(each["forms"]) for each in (popped, rest)] == [2, 1]
    assert sorted(each["form"] for each in found) == names
    assert len({each["r2_upload"] for each in found}) == 3


async def test_a_worker_of_videos_takes_puts_and_hands_in(
    worker: RemoteWorker, requester: Requester
) -> None:
    params = {"length": 48, "fps": 24, "width": 256, "height": 128, "seed": "42"}
    request = (await requester.ask("generate/video/async", {**ASKED, "params": params}))["id"]

    job = await worker.pop(path="generate/video/pop")
    await worker.put(job, WEBM)
    body = {"id": job["id"], "generation": "R2", "state": "ok", "seed": 42}
    await worker.post("generate/video/submit", body)

    payload = job["payload"]
    assert {name: payload[name] for name in params} == params
    assert job["model"] == REMOTE_MODEL
    (made,) = (await status_of(requester, request, "video/"))["generations"]
    video = await worker.http.get(made["video"])
    assert (video.content, video.headers["content-type"]) == (WEBM, "video/webm")
    assert (await worker.me())["type"] == "video"


async def test_a_video_that_is_too_long_for_a_worker_is_skipped_and_counted(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/video/async", {**ASKED, "params": {"length": 48}})

    popped = await worker.pop(path="generate/video/pop", max_frames=24)

    assert (popped["id"], popped["skipped"]) == (None, {"max_frames": 1})


async def test_what_is_put_for_a_video_must_be_one(
    worker: RemoteWorker, requester: Requester
) -> None:
    await requester.ask("generate/video/async", ASKED)
    job = await worker.pop(path="generate/video/pop")
    await worker.put(job, WEBP)

    body = {"id": job["id"], "generation": "R2", "state": "ok"}
    refused = await worker.post("generate/video/submit", body, 400)

    assert refused["rc"] == "ImageValidationFailed"


async def test_a_worker_of_videos_waits_as_others_do(
    worker: RemoteWorker, requester: Requester
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.pop(path="workers/pop?type=video"))
        await requester.ask("generate/video/async", ASKED)

    assert waiting.result()["payload"]["length"] == 24


async def test_who_calls_itself_slow_has_longer(worker: RemoteWorker, requester: Requester) -> None:
    await requester.ask("generate/async", {**ASKED, "extra_slow_workers": True})

    job = await worker.pop(extra_slow_worker=True)

    assert job["ttl"] == 90
