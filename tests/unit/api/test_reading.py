"""A job can be read as a record, a status, a result and a timeline; and asked to end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.contracts.frames import Progress
from headrace.testkit.apps import create_app

RED = {"apikey": "key-of-red"}


async def submit(http: httpx.AsyncClient, **more: Any) -> str:
    asked = {"kind": "echo", "input": {"text": "a"}, **more}
    return str((await http.post("/jobs", json=asked, headers=RED)).json()["id"])


async def test_a_record_is_what_was_answered_at_submission(http: httpx.AsyncClient) -> None:
    accepted = await http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=RED)

    read = await http.get(accepted.headers["location"], headers=RED)

    assert read.status_code == 200
    assert read.json() == accepted.json()


async def test_an_id_may_be_written_in_capitals(http: httpx.AsyncClient) -> None:
    job = await submit(http)

    assert (await http.get(f"/jobs/{job.upper()}", headers=RED)).json()["id"] == job


async def test_a_queued_job_tells_how_many_are_ahead(http: httpx.AsyncClient) -> None:
    await submit(http)
    job = await submit(http)

    status = (await http.get(f"/jobs/{job}/status", headers=RED)).json()

    assert status["state"] == "queued"
    assert status["queue_position"] == 1
    assert status["eta_s"] is None


async def test_several_jobs_tell_how_they_stand_in_one_answer(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    running, _, second = [await submit(http) for _ in range(3)]
    await backstage.start(running)
    foreign = (await http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}})).json()["id"]
    asked = {"id": [running, second.upper(), foreign]}

    told = (await http.get("/jobs/statuses", params=asked, headers=RED)).json()

    alone = {
        job: (await http.get(f"/jobs/{job}/status", headers=RED)).json()
        for job in (running, second)
    }
    times = {each["id"]: (each.pop("started_at"), each.pop("finished_at")) for each in told}
    assert {each.pop("id"): each for each in told} == alone
    assert times[running][0] is not None
    assert times[second] == (None, None)
    assert alone[running]["queue_position"] is None
    assert alone[second]["queue_position"] > 0


@pytest.mark.parametrize("ids", [[], ["no-id"], [str(number) for number in range(65)]])
async def test_statuses_of_nothing_nonsense_or_too_many_are_refused(
    http: httpx.AsyncClient, ids: list[str]
) -> None:
    refused = await http.get("/jobs/statuses", params={"id": ids}, headers=RED)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"].startswith("id")


async def test_a_timeline_links_to_the_trace_where_there_is_a_place_to_look(
    deps: ApiDeps, http: httpx.AsyncClient
) -> None:
    job = await submit(http)
    transport = httpx.ASGITransport(create_app(replace(deps, trace_url="http://t/{trace_id}?x")))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as linking:
        linked = (await linking.get(f"/jobs/{job}/timeline", headers=RED)).json()
    plain = (await http.get(f"/jobs/{job}/timeline", headers=RED)).json()

    assert linked["trace_url"] == f"http://t/{linked['trace_id']}?x"
    assert plain["trace_url"] is None


async def test_a_running_job_has_no_place_in_the_queue(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    job = await submit(http)
    await backstage.start(job)

    status = (await http.get(f"/jobs/{job}/status", headers=RED)).json()

    assert (status["state"], status["attempt"]) == ("running", 1)
    assert status["queue_position"] is None


async def test_there_is_no_result_before_the_end(http: httpx.AsyncClient, backstage: Any) -> None:
    job = await submit(http)
    await backstage.start(job)
    await backstage.say(job, Progress(fraction=0.5))

    answer = await http.get(f"/jobs/{job}/result", headers=RED)

    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["state"] == "running"


async def test_the_result_is_there_at_the_end(http: httpx.AsyncClient, backstage: Any) -> None:
    job = await submit(http)
    await backstage.start(job)
    await backstage.finish(job, {"text": "A"})

    answer = await http.get(f"/jobs/{job}/result", headers=RED)

    assert answer.status_code == 200
    assert answer.json() == {
        "state": "succeeded",
        "result": {"text": "A"},
        "error": None,
        "blobs": [],
    }


async def test_a_failure_is_a_result_too(http: httpx.AsyncClient, backstage: Any) -> None:
    job = await submit(http)
    await backstage.start(job)
    await backstage.fail(job, {"kind": "input", "message": "no", "field": "text"})

    answer = await http.get(f"/jobs/{job}/result", headers=RED)

    assert answer.status_code == 200
    assert answer.json()["error"] == {
        "kind": "input", "message": "no", "field": "text", "detail": None,
    }  # fmt: skip


async def test_a_timeline_has_every_attempt_and_where_its_time_went(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    job = await submit(http)
    await backstage.start(job)
    await backstage.finish(job, {"text": "A"})

    timeline = (await http.get(f"/jobs/{job}/timeline", headers=RED)).json()

    (attempt,) = timeline["attempts"]
    assert (attempt["attempt"], attempt["worker"], attempt["outcome"]) == (1, "w1", "succeeded")
    assert attempt["stages"]["run_s"] == 1.5
    assert attempt["waited_s"] >= 0
    assert timeline["total_s"] >= attempt["waited_s"]


async def test_cancelling_is_a_wish_that_may_be_repeated(http: httpx.AsyncClient) -> None:
    job = await submit(http)

    answers = [await http.post(f"/jobs/{job}/cancel", headers=RED) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].json()["id"] == job


async def test_cancelling_what_has_ended_changes_nothing(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    job = await submit(http)
    await backstage.start(job)
    await backstage.finish(job, {"text": "A"})

    answer = await http.post(f"/jobs/{job}/cancel", headers=RED)

    assert answer.status_code == 200
    assert answer.json()["state"] == "succeeded"


async def test_jobs_are_listed_newest_first_page_by_page(http: httpx.AsyncClient) -> None:
    made = [await submit(http) for _ in range(5)]

    pages, cursor = [], ""
    while cursor is not None:
        page = (await http.get(f"/jobs?limit=2{cursor}", headers=RED)).json()
        pages.append([job["id"] for job in page["jobs"]])
        cursor = page["next"] and f"&cursor={page['next']}"

    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


async def test_jobs_are_filtered(http: httpx.AsyncClient, backstage: Any) -> None:
    red = await submit(http, labels={"team": "red"})
    other = await submit(http, model="echo-2")
    await backstage.start(other)

    async def ids(query: str) -> list[str]:
        page = (await http.get(f"/jobs?{query}", headers=RED)).json()
        return [job["id"] for job in page["jobs"]]

    assert await ids("label=team:red") == [red]
    assert await ids("label=team:blue") == []
    assert await ids("model=echo-2") == [other]
    assert await ids("state=queued") == [red]
    assert await ids("kind=echo") == [other, red]
    assert await ids("created_after=2100-01-01T00:00:00Z") == []
    assert await ids("created_before=2100-01-01T00:00:00Z") == [other, red]


async def test_the_models_are_listed_with_their_schemas(http: httpx.AsyncClient) -> None:
    models = (await http.get("/models")).json()

    assert [(each["kind"], each["model"]) for each in models] == [
        ("echo", "echo-1"),
        ("echo", "echo-2"),
    ]
    assert models[0]["title"] == "Says it again"
    assert models[0]["input_schema"]["required"] == ["text"]
    assert "lane" not in models[0]
