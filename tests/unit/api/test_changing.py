"""Retrying and cancelling by hand, and keys that make asking twice safe."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
KEYED = {**RED, "Idempotency-Key": "k"}


async def failed(backstage: Any, job: str) -> None:
    await backstage.start(job)
    await backstage.fail(job, {"kind": "internal", "message": "it broke"})


async def jobs_of_red(http: httpx.AsyncClient) -> list[Any]:
    found: list[Any] = (await http.get("/jobs", headers=RED)).json()["jobs"]
    return found


async def test_a_retry_is_a_new_job_linked_to_the_old_one(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    await failed(backstage, submitted)

    answer = await http.post(f"/jobs/{submitted}/retry", headers=RED)

    new, old = answer.json(), (await http.get(f"/jobs/{submitted}", headers=RED)).json()
    assert answer.status_code == 202
    assert new["retry_of"] == submitted
    assert new["id"] != submitted
    assert (new["state"], new["input"]) == ("queued", old["input"])
    assert (old["state"], old["retry_of"]) == ("failed", None)
    assert (await http.get(new["links"]["self"], headers=RED)).json() == new


async def test_a_job_that_has_not_ended_is_not_retried(
    http: httpx.AsyncClient, submitted: str
) -> None:
    answer = await http.post(f"/jobs/{submitted}/retry", headers=RED)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:headrace:problem:not-over"
    assert len(await jobs_of_red(http)) == 1


@pytest.mark.parametrize("verb", ["retry", "cancel"])
async def test_a_job_of_another_tenant_is_left_alone(
    http: httpx.AsyncClient, submitted: str, backstage: Any, verb: str
) -> None:
    await failed(backstage, submitted)

    answer = await http.post(f"/jobs/{submitted}/{verb}", headers=BLUE)

    assert answer.status_code == 404
    assert len(await jobs_of_red(http)) == 1


async def test_a_retry_with_the_same_key_is_the_same_job(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    await failed(backstage, submitted)

    first = await http.post(f"/jobs/{submitted}/retry", headers=KEYED)
    again = await http.post(f"/jobs/{submitted}/retry", headers=KEYED)
    other = await http.post(f"/jobs/{submitted}/retry", headers={**KEYED, "Idempotency-Key": "l"})

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert other.json()["id"] != first.json()["id"]


async def test_a_refusal_is_not_remembered(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    refused = await http.post(f"/jobs/{submitted}/retry", headers=KEYED)
    await failed(backstage, submitted)

    answer = await http.post(f"/jobs/{submitted}/retry", headers=KEYED)

    assert (refused.status_code, answer.status_code) == (409, 202)


async def test_a_cancel_with_the_same_key_is_told_again_word_for_word(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    first = await http.post(f"/jobs/{submitted}/cancel", headers=KEYED)
    await backstage.cancel(submitted)

    again = await http.post(f"/jobs/{submitted}/cancel", headers=KEYED)
    without = await http.post(f"/jobs/{submitted}/cancel", headers=RED)

    assert (first.status_code, again.status_code, without.status_code) == (202, 202, 200)
    assert again.content == first.content


async def test_the_timeline_says_how_long_a_cancel_took(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    before = (await http.get(f"/jobs/{submitted}/timeline", headers=RED)).json()
    await http.post(f"/jobs/{submitted}/cancel", headers=RED)
    await backstage.cancel(submitted)

    after = (await http.get(f"/jobs/{submitted}/timeline", headers=RED)).json()

    assert (before["cancel_asked_at"], before["cancel_s"]) == (None, None)
    assert after["cancel_asked_at"] <= after["finished_at"]
    assert 0 <= after["cancel_s"] < 10
