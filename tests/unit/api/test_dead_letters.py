"""`/admin/dead-letters`: for operators alone, and everything they do is in the audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import JobId, TenantId
from headrace.core.ports.dead_letters import DeadLetter, Source
from headrace.core.ports.store import Store
from headrace.core.usecases.bury import bury
from headrace.testkit.apps import create_app
from headrace.testkit.builders import a_dead_letter, a_job_id

ANN = {"apikey": "key-of-operators", "X-Operator": "ann"}
RED = {"apikey": "key-of-red"}
AT = "/admin/dead-letters"


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, admin_key=ANN["apikey"]))


async def listed(http: httpx.AsyncClient, **query: Any) -> list[Any]:
    found: list[Any] = (await http.get(AT, params=query, headers=ANN)).json()["letters"]
    return found


async def parked(http: httpx.AsyncClient, store: Store, *letters: DeadLetter) -> list[Any]:
    """As they are listed: the newest first."""
    for letter in letters or [a_dead_letter()]:
        await bury(store, [letter])
    return await listed(http)


@pytest.mark.parametrize("path", [AT, f"{AT}/groups", f"{AT}/1", "/admin/audit"])
async def test_without_an_admin_key_there_is_nothing(deps: ApiDeps, path: str) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        answer = await http.get(path, headers=ANN)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("headers", [{}, RED, {"apikey": "nonsense"}])
@pytest.mark.parametrize("path", [AT, f"{AT}/groups", f"{AT}/1", "/admin/audit"])
async def test_a_tenant_is_no_operator(
    http: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    assert (await http.get(path, headers=headers)).status_code == 403


async def test_letters_are_grouped_by_their_cause(http: httpx.AsyncClient, store: Store) -> None:
    await parked(http, store, a_dead_letter(), a_dead_letter(), a_dead_letter(fingerprint="beef"))

    groups = (await http.get(f"{AT}/groups", headers=ANN)).json()["groups"]

    assert {each["fingerprint"]: each["count"] for each in groups} == {"f00d": 2, "beef": 1}
    assert groups[0]["title"] == "cannot be read"


async def test_letters_are_listed_page_by_page(http: httpx.AsyncClient, store: Store) -> None:
    whole = await parked(http, store, *(a_dead_letter() for _ in range(3)))

    first = (await http.get(AT, params={"limit": 2}, headers=ANN)).json()
    rest = await listed(http, before=first["next"])

    assert [*first["letters"], *rest] == whole


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [(b'{"kind": "?"}', "utf-8", '{"kind": "?"}'), (b"\xff\x00", "base64", "/wA=")],
)
async def test_a_letter_shows_what_it_says(
    http: httpx.AsyncClient, store: Store, body: bytes, encoding: str, said: str
) -> None:
    (letter,) = await parked(http, store, a_dead_letter(body=body, headers={"a": "b"}))

    shown = (await http.get(f"{AT}/{letter['number']}", headers=ANN)).json()

    assert (shown["encoding"], shown["body"], shown["headers"]) == (encoding, said, {"a": "b"})
    assert shown["whole"] is True


async def test_a_dead_job_shows_what_was_asked_for_and_each_attempt(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    await backstage.fail(submitted, {"kind": "internal", "message": "it broke"})
    letter = a_dead_letter(
        source=Source.JOB, job=JobId(submitted), tenant=TenantId("red"), body=b""
    )
    (row,) = await parked(http, store, letter)

    died = (await http.get(f"{AT}/{row['number']}", headers=ANN)).json()["died"]

    assert (died["kind"], died["model"], died["input"]) == ("echo", "echo-1", {"text": "a"})
    assert died["input_schema"]["required"] == ["text"]
    (attempt,) = died["attempts"]
    assert (attempt["worker"], attempt["error"]["message"]) == ("w1", "it broke")


async def test_a_dead_job_that_was_deleted_since_shows_nothing_of_it(
    http: httpx.AsyncClient, store: Store
) -> None:
    letter = a_dead_letter(source=Source.JOB, job=a_job_id(), tenant=TenantId("red"), body=b"")
    (row,) = await parked(http, store, letter)

    assert (await http.get(f"{AT}/{row['number']}", headers=ANN)).json()["died"] is None


async def test_one_is_replayed_and_one_discarded_and_both_only_once(
    http: httpx.AsyncClient, store: Store
) -> None:
    one, other = await parked(http, store, a_dead_letter(), a_dead_letter())

    replayed = await http.post(f"{AT}/{one['number']}/replay", headers=ANN)
    discarded = await http.post(f"{AT}/{other['number']}/discard", headers=ANN)
    again = [
        await http.post(f"{AT}/{one['number']}/replay", headers=ANN),
        await http.post(f"{AT}/{other['number']}/discard", headers=ANN),
    ]

    assert replayed.status_code == 202
    assert replayed.json()["replay_at"] is not None
    assert (discarded.status_code, discarded.json()["settled"]) == (200, "discarded")
    assert [each.status_code for each in again] == [409, 409]


async def test_the_same_key_is_told_the_same_again(http: httpx.AsyncClient, store: Store) -> None:
    (letter,) = await parked(http, store)
    headers = {**ANN, "Idempotency-Key": "k"}

    first = await http.post(f"{AT}/{letter['number']}/replay", headers=headers)
    again = await http.post(f"{AT}/{letter['number']}/replay", headers=headers)

    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_all_that_a_filter_finds_is_replayed_at_a_rate(
    http: httpx.AsyncClient, store: Store
) -> None:
    await parked(http, store, a_dead_letter(), a_dead_letter(), a_dead_letter(queue="other"))

    answer = await http.post(
        f"{AT}/replay", json={"queue": "headrace.results", "per_s": 0.5}, headers=ANN
    )

    assert answer.status_code == 202
    assert (answer.json()["count"], answer.json()["more"]) == (2, False)
    times = sorted(each["replay_at"] for each in await listed(http) if each["replay_at"])
    assert times[-1] == answer.json()["until"]


async def test_everything_must_be_meant(http: httpx.AsyncClient, store: Store) -> None:
    await parked(http, store, a_dead_letter(), a_dead_letter())

    careless = await http.post(f"{AT}/discard", json={}, headers=ANN)
    meant = await http.post(f"{AT}/discard", json={"all": True}, headers=ANN)

    assert careless.status_code == 422
    assert meant.json()["count"] == 2
    assert await listed(http) == []
    assert len(await listed(http, settled=True)) == 2


async def test_the_audit_says_who_did_what(http: httpx.AsyncClient, store: Store) -> None:
    (letter,) = await parked(http, store)
    await http.post(f"{AT}/{letter['number']}/discard", headers=ANN)
    await http.post(f"{AT}/replay", json={"fingerprint": "f00d"}, headers=ANN)

    first = (await http.get("/admin/audit", params={"limit": 1}, headers=ANN)).json()
    rest = (await http.get("/admin/audit", params={"before": first["next"]}, headers=ANN)).json()

    deeds = [(each["who"], each["action"], each["subject"]) for each in first["audit"]]
    deeds += [(each["who"], each["action"], each["subject"]) for each in rest["audit"]]
    assert deeds == [
        ("ann", "dead-letters.replay", "fingerprint=f00d"),
        ("ann", "dead-letter.discard", str(letter["number"])),
    ]


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999"])
async def test_what_is_no_number_is_refused(http: httpx.AsyncClient, number: str) -> None:
    assert (await http.get(f"{AT}/{number}", headers=ANN)).status_code == 422


async def test_an_unknown_letter_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{AT}/404/replay", headers=ANN)

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:headrace:problem:no-such-dead-letter"


async def a_dead_job(http: httpx.AsyncClient, store: Store, job: str, backstage: Any) -> Any:
    """Its letter, as it is listed."""
    await backstage.start(job)
    await backstage.fail(job, {"kind": "internal", "message": "it broke"})
    letter = a_dead_letter(
        source=Source.JOB, job=JobId(job), tenant=TenantId("red"), queue="echo", body=b""
    )
    (row,) = await parked(http, store, letter)
    return row


async def replay(http: httpx.AsyncClient, number: int, asked: Any, **headers: str) -> Any:
    return await http.post(f"{AT}/{number}/replay", json=asked, headers={**ANN, **headers})


async def test_a_dry_run_tells_what_a_replay_would_do_and_does_nothing(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    letter = await a_dead_job(http, store, submitted, backstage)

    told = await replay(http, letter["number"], {"dry_run": True})
    unfit = await replay(http, letter["number"], {"dry_run": True, "input": {"text": 7}})

    assert (told.status_code, told.json()) == (
        200,
        {"number": letter["number"], "would": "run", "to": "echo"}
        | {"fits": True, "why": None, "pointer": None},
    )
    assert unfit.json()["fits"] is False
    assert "/text" in unfit.json()["why"]
    assert unfit.json()["pointer"] == "/input/text"
    (still,) = await listed(http)
    assert still["replay_at"] is None
    assert (await http.get("/admin/audit", headers=ANN)).json()["audit"] == []


async def test_a_dry_run_of_many_checks_each_input_and_names_the_doubtful(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    await a_dead_job(http, store, submitted, backstage)
    gone = a_dead_letter(source=Source.JOB, job=a_job_id(), tenant=TenantId("red"), body=b"")
    await parked(http, store, gone, a_dead_letter())
    await http.post("/admin/lanes/echo/pause", headers=ANN)

    answer = await http.post(f"{AT}/replay", json={"all": True, "dry_run": True}, headers=ANN)

    told = answer.json()
    assert (answer.status_code, told["count"], told["unfit"], told["more"]) == (200, 2, 0, False)
    whys = {each["would"]: each["why"] for each in told["doubtful"]}
    assert whys == {
        "run": "lane echo is paused: it would wait",
        "nothing": "the job itself has been deleted",
    }
    assert {each["replay_at"] for each in await listed(http)} == {None}


async def test_a_dead_job_runs_again_with_a_mended_input_and_stays_as_it_was(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    letter = await a_dead_job(http, store, submitted, backstage)
    mended = {"text": "a secret", "times": 2}

    answer = await replay(http, letter["number"], {"input": mended})

    done = answer.json()
    assert (answer.status_code, done["settled"], done["settled_by"]) == (202, "replayed", "ann")
    new = (await http.get(f"/jobs/{done['retried_as']}", headers=RED)).json()
    old = (await http.get(f"/jobs/{submitted}", headers=RED)).json()
    assert (new["input"], new["retry_of"], new["state"]) == (mended, submitted, "queued")
    assert (old["input"], old["state"]) == ({"text": "a"}, "failed")
    (deed,) = (await http.get("/admin/audit", headers=ANN)).json()["audit"]
    assert deed["detail"] == {"job": done["retried_as"], "changed": ["text", "times"]}
    assert "secret" not in str(deed)


async def test_a_mended_input_has_to_fit(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    letter = await a_dead_job(http, store, submitted, backstage)

    answer = await replay(http, letter["number"], {"input": {"text": "a", "times": 0}})

    assert (answer.status_code, answer.json()["pointer"]) == (422, "/input/times")
    assert [each["settled"] for each in await listed(http)] == [None]


async def test_a_mended_input_too_large_for_a_message_is_kept_apart(
    http: httpx.AsyncClient, store: Store, deps: ApiDeps, submitted: str, backstage: Any
) -> None:
    letter = await a_dead_job(http, store, submitted, backstage)
    roomy = replace(deps, admin_key=ANN["apikey"], limits=replace(deps.limits, job_bytes=1 << 20))
    transport = httpx.ASGITransport(create_app(roomy))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as larger:
        done = (await replay(larger, letter["number"], {"input": {"text": "x" * 60_000}})).json()
        new = (await larger.get(f"/jobs/{done['retried_as']}", headers=RED)).json()
        blob = await larger.get(f"/blobs/{new['input']['input_blob']}", headers=RED)

    assert blob.json() == {"text": "x" * 60_000}


async def test_a_message_has_no_input_to_mend(http: httpx.AsyncClient, store: Store) -> None:
    (letter,) = await parked(http, store)

    answers = [
        await replay(http, letter["number"], {"input": {}, "dry_run": dry}) for dry in (True, False)
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json()["pointer"] == "/input"


async def test_a_mended_replay_under_the_same_key_is_one(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    letter = await a_dead_job(http, store, submitted, backstage)
    asked = {"input": {"text": "b"}}

    first = await replay(http, letter["number"], asked, **{"Idempotency-Key": "k"})
    again = await replay(http, letter["number"], asked, **{"Idempotency-Key": "k"})
    other = await replay(http, letter["number"], asked)

    assert (first.status_code, again.content) == (202, first.content)
    assert other.status_code == 409
