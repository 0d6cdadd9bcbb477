"""What this door tells everybody: that it lives, which models there are, what waits and what was made."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.api.conftest import Backstage
from tests.unit.api.horde.conftest import IMAGE_MODEL, TEXT_MODEL, Requester

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.ids import Lane, TenantId, WorkerId
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Store

SLASHED = "aphrodite/Neko/Llama-3 8B"
IMAGE: dict[str, Any] = {
    "prompt": "a fox",
    "models": [IMAGE_MODEL],
    "params": {"width": 64, "height": 128, "steps": 10},
}
TEXT = {"prompt": "a fox", "models": [TEXT_MODEL], "params": {"max_length": 80}}


@pytest.fixture
async def crew(store: Store) -> None:
    """A worker of ours with room for two images and a text, and a remote one with a model of its own."""
    slots = {Lane("emoji-flow"): 2, Lane("smollm2"): 1}
    remote = RemoteWorker(
        id=WorkerId("6d3ae3f6-2c4e-4e9e-9c58-6d4b5a2f9b11"),
        name="far",
        tenant=TenantId("red"),
        kind="text",
        said={"models": [SLASHED], "threads": 3},
    )
    async with store.begin() as tx:
        await tx.see_worker(WorkerId("w1"), slots, path="local")
        await tx.enlist([remote])


async def test_the_heartbeat_asks_nobody_else(
    requester: Requester, deps: ApiDeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise AssertionError("it asked the store")

    monkeypatch.setattr(type(deps.store), "begin", lambda _: away())

    assert await requester.get("status/heartbeat") == {"message": "OK", "version": "1.2.3"}


@pytest.mark.usefixtures("crew")
async def test_models_are_those_that_somebody_serves(requester: Requester) -> None:
    (image,) = await requester.get("status/models")
    assert image == {
        "name": IMAGE_MODEL, "count": 2, "performance": 0.0, "queued": 0.0, "jobs": 0.0, "eta": 0, "type": "image",
    }  # fmt: skip

    texts = await requester.get("status/models?type=text")
    assert {each["name"]: each["count"] for each in texts} == {SLASHED: 3, TEXT_MODEL: 1}
    for query, names in (
        ("model_state=known", {TEXT_MODEL}),
        ("model_state=custom", {SLASHED}),
        ("min_count=2", {SLASHED}),
        ("max_count=2", {TEXT_MODEL}),
    ):
        found = await requester.get(f"status/models?type=text&{query}")
        assert {each["name"] for each in found} == names, query


async def test_models_that_are_waited_for_are_told_with_what_waits(requester: Requester) -> None:
    await requester.ask("generate/async", {**IMAGE, "models": ["Deliberate"]})

    (waited,) = [
        each for each in await requester.get("status/models") if each["name"] == "Deliberate"
    ]

    assert (waited["count"], waited["jobs"], waited["queued"]) == (0, 1.0, 64 * 128 * 10 / 1e6)
    assert (waited["eta"], type(waited["eta"])) == (20, int)


@pytest.mark.usefixtures("crew")
@pytest.mark.parametrize("encoded", [1, 2])
async def test_a_models_name_may_be_encoded_twice(requester: Requester, encoded: int) -> None:
    name = SLASHED
    for _ in range(encoded):
        name = quote(name, safe="")

    (found,) = await requester.get(f"status/models/{name}")

    assert (found["name"], found["type"]) == (SLASHED, "text")


async def test_a_model_of_nobodys_is_an_empty_list(requester: Requester) -> None:
    assert await requester.get("status/models/nobody%2Fhas%2Fit") == []


async def test_a_nul_that_was_encoded_twice_is_refused(requester: Requester) -> None:
    assert (await requester.get("status/models/a%2500b", 400))["rc"] == "NulByteInPayload"


@pytest.mark.parametrize(
    "query", ["type=video", "min_count=-1", "min_count=few", "model_state=odd"]
)
async def test_a_wrong_parameter_is_named(requester: Requester, query: str) -> None:
    body = await requester.get(f"status/models?{query}", 400)

    assert list(body["errors"]) == [query.partition("=")[0]]


@pytest.mark.usefixtures("crew")
async def test_performance_counts_who_works_and_what_waits(requester: Requester) -> None:
    await requester.ask("generate/async", {**IMAGE, "params": {**IMAGE["params"], "n": 2}})
    await requester.ask("generate/text/async", TEXT)

    told = await requester.get("status/performance")

    assert told == {
        "queued_requests": 2, "queued_text_requests": 1, "worker_count": 1, "thread_count": 2,
        "text_worker_count": 2, "text_thread_count": 4, "interrogator_count": 0,
        "interrogator_thread_count": 0, "queued_megapixelsteps": 2 * 64 * 128 * 10 / 1e6,
        "past_minute_megapixelsteps": 0.0, "queued_tokens": 80.0, "past_minute_tokens": 0.0,
        "queued_forms": 0.0,
    }  # fmt: skip


async def test_what_was_made_is_in_the_statistics(
    requester: Requester, backstage: Backstage
) -> None:
    for path, asked, output in (
        ("generate/async", IMAGE, {}),
        ("generate/text/async", TEXT, {"text": "a"}),
    ):
        job = job_id((await requester.ask(path, asked))["id"], 0)
        await backstage.start(job)
        await backstage.finish(job, output)

    made = {"images": 1, "ps": 64 * 128 * 10}
    periods = ("minute", "hour", "day", "month", "total")
    assert await requester.get("stats/img/totals") == dict.fromkeys(periods, made)
    written = {"requests": 1, "tokens": 80}
    assert await requester.get("stats/text/totals") == dict.fromkeys(periods, written)
    counts = {each: {IMAGE_MODEL: 1} for each in ("day", "month", "total")}
    assert await requester.get("stats/img/models") == counts
    assert await requester.get("stats/img/models?model_state=known") == counts
    nothing: dict[str, Any] = {"day": {}, "month": {}, "total": {}}
    assert await requester.get("stats/img/models?model_state=custom") == nothing
    counts = {each: {TEXT_MODEL: 1} for each in ("day", "month", "total")}
    assert await requester.get("stats/text/models") == counts


async def test_there_is_always_news(requester: Requester) -> None:
    (first,) = await requester.get("status/news")

    assert first["date_published"] == "2026-11-27"
    assert first["newspiece"].startswith("This server is Headrace 1.2.3.")


@pytest.mark.usefixtures("crew")
@pytest.mark.parametrize(("held", "maintenance"), [(1, False), (2, True)])
async def test_it_is_in_maintenance_while_every_lane_is_held_back(
    requester: Requester, store: Store, held: int, *, maintenance: bool
) -> None:
    async with store.begin() as tx:
        for lane in ("emoji-flow", "smollm2")[:held]:
            await tx.pause(Lane(lane))

    assert await requester.get("status/modes") == {
        "maintenance_mode": maintenance, "invite_only_mode": True, "raid_mode": False,
    }  # fmt: skip
