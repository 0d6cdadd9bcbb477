"""Anybody's jobs, for an operator: found, read, explained, cancelled, retried and moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.core.usecases.admit import Admission, Caps
from headrace.testkit.apps import create_app

ADMIN = {"apikey": "key-of-admin", "X-Operator": "ann"}
RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    few = Admission(Caps(per_tenant=6), monotonic=lambda: 0.0)  # counted once, then kept up
    return create_app(replace(deps, admin_key=ADMIN["apikey"], admission=few))


async def submit(http: httpx.AsyncClient, who: dict[str, str] = RED, **more: Any) -> str:
    job = {"kind": "echo", "input": {"text": "a"}, **more}
    answer = await http.post("/jobs", json=job, headers=who)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def found(http: httpx.AsyncClient, **asked: Any) -> list[str]:
    answer = await http.get("/admin/jobs", params=asked, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


async def bulk(http: httpx.AsyncClient, verb: str, asked: Any, **headers: str) -> Any:
    answer = await http.post(f"/admin/jobs/{verb}", json=asked, headers={**ADMIN, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def broke(http: httpx.AsyncClient, backstage: Any, message: str = "it broke") -> str:
    job = await submit(http)
    await backstage.start(job)
    await backstage.fail(job, {"kind": "internal", "message": message})
    return job


async def test_jobs_of_all_tenants_are_found_by_what_is_known_of_them(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    mine = await submit(http, labels={"team": "red"})
    theirs = await submit(http, BLUE)
    failed = await broke(http, backstage, "CUDA out of memory")

    assert set(await found(http)) == {mine, theirs, failed}
    assert await found(http, tenant="blue") == [theirs]
    assert await found(http, label="team:red") == [mine]
    assert await found(http, error="cuda OUT") == [failed]
    assert await found(http, worker="w1", state="failed") == [failed]
    assert await found(http, id=theirs.upper()) == [theirs]
    assert await found(http, kind="image") == []


async def test_whose_job_it_is_and_where_it_runs_is_told(
    http: httpx.AsyncClient, submitted: str
) -> None:
    job = (await http.get(f"/admin/jobs/{submitted}", headers=ADMIN)).json()
    own = (await http.get(f"/jobs/{submitted}", headers=RED)).json()

    assert {**own, "tenant": "red", "path": "local", "lane": "echo", "worker": None} == job


async def test_pages_go_on_where_the_last_one_stopped(http: httpx.AsyncClient) -> None:
    jobs = {await submit(http) for _ in range(3)}
    seen, cursor = [], None

    while True:
        asked = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await http.get("/admin/jobs", params=asked, headers=ADMIN)).json()
        seen += [job["id"] for job in page["jobs"]]
        if (cursor := page["next"]) is None:
            break

    assert (len(seen), set(seen)) == (3, jobs)


@pytest.mark.parametrize("part", ["", "/timeline", "/explain"])
async def test_an_operator_reads_another_tenants_job_as_it_does(
    http: httpx.AsyncClient, submitted: str, part: str
) -> None:
    answer = await http.get(f"/admin/jobs/{submitted}{part}", headers=ADMIN)
    own = await http.get(f"/jobs/{submitted}{part}", headers=RED)
    unknown = await http.get(f"/admin/jobs/{NOBODY}{part}", headers=ADMIN)
    refused = await http.get(f"/admin/jobs/{submitted}{part}", headers=RED)

    assert answer.status_code == 200
    assert own.json().items() <= answer.json().items()
    assert (unknown.status_code, unknown.json()["type"]) == (
        404,
        "urn:headrace:problem:no-such-job",
    )
    assert refused.status_code == 403


async def test_a_cursor_that_is_none_of_ours_is_refused(http: httpx.AsyncClient) -> None:
    read = await http.get("/admin/jobs", params={"cursor": "!"}, headers=ADMIN)
    asked = {"filter": {"tenant": "red"}, "cursor": "!"}
    done = await http.post("/admin/jobs/cancel", json=asked, headers=ADMIN)

    assert (read.status_code, read.json()["parameter"]) == (422, "cursor")
    assert (done.status_code, done.json()["pointer"]) == (422, "/cursor")


async def test_many_are_cancelled_and_each_refusal_is_told(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    waits, runs, over = await submit(http), await submit(http, BLUE), await broke(http, backstage)
    await backstage.start(runs)

    done = await bulk(http, "cancel", {"ids": [waits, runs, over, NOBODY]})
    again = await bulk(http, "cancel", {"ids": [waits]})

    assert (done["matched"], done["done"], done["more"]) == (4, 2, False)
    assert {each["id"]: each["why"] for each in done["refused"]} == {
        over: "has ended already: failed",
        NOBODY: "there is no such job",
    }
    assert again["refused"] == [{"id": waits, "why": "was asked to end already"}]
    for job in (waits, runs):
        timeline = (await http.get(f"/admin/jobs/{job}/timeline", headers=ADMIN)).json()
        assert timeline["cancel_asked_at"] is not None


async def test_a_filter_cancels_what_has_not_ended(http: httpx.AsyncClient, backstage: Any) -> None:
    for _ in range(2):
        await submit(http)
    await submit(http, BLUE)
    await broke(http, backstage)

    done = await bulk(http, "cancel", {"filter": {"tenant": "red"}})

    assert (done["matched"], done["done"], done["refused"]) == (2, 2, [])
    assert (await bulk(http, "cancel", {"filter": {"tenant": "red"}}))["done"] == 0


async def test_a_dry_run_decides_the_same_and_does_nothing(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    waits, over = await submit(http), await broke(http, backstage)
    asked = {"ids": [waits, over], "dry_run": True}

    cancelled = await bulk(http, "cancel", asked)
    retried = await bulk(http, "retry", asked)

    assert (cancelled["done"], [each["id"] for each in cancelled["refused"]]) == (1, [over])
    assert (retried["done"], [each["id"] for each in retried["refused"]]) == (1, [waits])
    assert (await bulk(http, "cancel", {"ids": [waits]}))["done"] == 1
    assert set(await found(http)) == {waits, over}
    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    assert [each["action"] for each in audit] == ["jobs.cancel"]


async def test_a_filter_retries_what_went_wrong_and_not_what_succeeded(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    failed = await broke(http, backstage, "CUDA out of memory")
    fine = await submit(http)
    await backstage.start(fine)
    await backstage.finish(fine, {"text": "a"})

    done = await bulk(http, "retry", {"filter": {"tenant": "red"}})

    assert (done["matched"], done["done"]) == (1, 1)
    (new,) = await found(http, state="queued")
    record = (await http.get(f"/admin/jobs/{new}", headers=ADMIN)).json()
    assert (record["retry_of"], record["tenant"]) == (failed, "red")


async def test_a_retry_that_finds_its_tenants_queue_full_is_refused_alone(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    jobs = [await broke(http, backstage) for _ in range(4)]
    await submit(http)

    dry = await bulk(http, "retry", {"ids": jobs, "dry_run": True})
    done = await bulk(http, "retry", {"ids": jobs})

    assert (dry["done"], done["done"]) == (1, 1)
    assert [each["id"] for each in done["refused"]] == jobs[1:]
    assert "6 jobs waiting" in done["refused"][0]["why"]


async def test_what_is_more_than_one_request_may_touch_is_gone_on_with(
    http: httpx.AsyncClient,
) -> None:
    jobs = [await submit(http) for _ in range(3)]
    asked: dict[str, Any] = {"filter": {"state": "queued"}, "limit": 2}

    first = await bulk(http, "cancel", asked)
    rest = await bulk(http, "cancel", {**asked, "cursor": first["next"]})

    assert (first["done"], first["more"]) == (2, True)
    assert (rest["done"], rest["more"]) == (1, False)
    assert len(jobs) == 3


async def test_the_same_key_does_it_once(http: httpx.AsyncClient, backstage: Any) -> None:
    job = await broke(http, backstage)

    first = await bulk(http, "retry", {"ids": [job]}, **{"Idempotency-Key": "once"})
    again = await bulk(http, "retry", {"ids": [job]}, **{"Idempotency-Key": "once"})

    assert first == again
    assert len(await found(http)) == 2


async def test_the_audit_keeps_what_was_asked_for_and_whom_it_met(http: httpx.AsyncClient) -> None:
    job = await submit(http)

    await bulk(http, "cancel", {"filter": {"tenant": "red", "kind": "echo"}})

    (deed,) = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    assert (deed["who"], deed["action"]) == ("ann", "jobs.cancel")
    assert deed["subject"] == "tenant=red, kind=echo"
    assert deed["detail"] == {"count": 1, "refused": 0, "ids": [job]}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"filter": {}},
        {"ids": []},
        {"ids": ["x"]},
        {"ids": [NOBODY], "filter": {"tenant": "red"}},
        {"filter": {"state": "gone"}},
        {"filter": {"colour": "red"}},
        {"filter": {"tenant": "red"}, "limit": 1001},
    ],
)
async def test_whom_it_is_about_has_to_be_said(http: httpx.AsyncClient, asked: Any) -> None:
    for verb in ("cancel", "retry"):
        answer = await http.post(f"/admin/jobs/{verb}", json=asked, headers=ADMIN)

        assert (answer.status_code, answer.json()["type"]) == (422, "urn:headrace:problem:invalid")


async def test_a_tenant_may_not_touch_many(http: httpx.AsyncClient, submitted: str) -> None:
    answer = await http.post("/admin/jobs/cancel", json={"ids": [submitted]}, headers=RED)

    assert answer.status_code == 403


async def move(http: httpx.AsyncClient, job: str, asked: Any) -> httpx.Response:
    return await http.post(f"/admin/jobs/{job}/move", json=asked, headers=ADMIN)


async def position(http: httpx.AsyncClient, job: str) -> int:
    status = await http.get(f"/jobs/{job}/status", headers=RED)
    return int(status.json()["queue_position"])


async def test_a_waiting_job_is_moved_to_the_front_and_to_the_back(
    http: httpx.AsyncClient,
) -> None:
    jobs = [await submit(http) for _ in range(3)]

    front = await move(http, jobs[2], {"to": "front"})
    back = await move(http, jobs[0], {"to": "back"})

    assert (front.status_code, front.json()["queue_position"]) == (200, 0)
    assert back.json()["queue_position"] == 2
    assert [await position(http, job) for job in jobs] == [2, 1, 0]
    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    deeds = [(each["action"], each["subject"], each["detail"]["to"]) for each in audit]
    assert deeds == [("job.move", jobs[0], "back"), ("job.move", jobs[2], "front")]


async def test_another_priority_is_another_place(http: httpx.AsyncClient) -> None:
    first, second = await submit(http), await submit(http)

    moved = await move(http, second, {"priority": 7})

    assert (moved.json()["priority"], moved.json()["queue_position"]) == (7, 0)
    assert await position(http, first) == 1
    assert (await http.get(f"/jobs/{second}", headers=RED)).json()["priority"] == 7


async def test_what_does_not_wait_is_not_moved(http: httpx.AsyncClient, backstage: Any) -> None:
    job = await submit(http)
    await backstage.start(job)

    answers = [await move(http, job, asked) for asked in ({"to": "front"}, {"priority": 1})]
    unknown = await move(http, NOBODY, {"to": "front"})

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["type"] == "urn:headrace:problem:not-waiting"
    assert "is running" in answers[0].json()["detail"]
    assert unknown.status_code == 404


@pytest.mark.parametrize("asked", [{}, {"to": "front", "priority": 1}, {"to": "up"}])
async def test_where_to_has_to_be_said(http: httpx.AsyncClient, submitted: str, asked: Any) -> None:
    assert (await move(http, submitted, asked)).status_code == 422
