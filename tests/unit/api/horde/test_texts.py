"""The flow of a requester of text: text/async, text/status until there is one generation; DELETE on any trouble."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.unit.api.conftest import Backstage
from tests.unit.api.horde.conftest import TEXT_MODEL, Requester
from tests.unit.api.horde.test_images import CHECKED, strictly

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.ids import TenantId
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Store

ASKED: dict[str, Any] = {"prompt": "Once upon a time", "models": [TEXT_MODEL]}
GENERATED = {
    "text": str,
    "seed": int,
    "model": str,
    "worker_id": str,
    "worker_name": str,
    "state": str,
}


async def test_text_is_asked_for_and_had(requester: Requester, backstage: Backstage) -> None:
    accepted = await requester.ask("generate/text/async", ASKED)
    request = accepted["id"]
    assert UUID(request).version == 4

    status = await requester.get(f"generate/text/status/{request}")
    strictly(status, CHECKED, "kudos", "generations")
    assert (status["waiting"], status["done"], status["generations"]) == (1, False, [])

    await backstage.start(job_id(request, 0))
    await backstage.finish(job_id(request, 0), {"text": " there was a fox", "seed": 9})
    status = await requester.get(f"generate/text/status/{request}")

    strictly(status, CHECKED, "kudos", "generations")
    assert (status["finished"], status["done"]) == (1, True)
    (made,) = status["generations"]
    strictly(made, GENERATED)
    assert (made["text"], made["seed"], made["state"]) == (" there was a fox", 9, "ok")


async def test_the_engine_is_told_what_it_understands(requester: Requester, store: Store) -> None:
    params = {
        "max_length": 120, "temperature": 4.5, "top_p": 0.9, "rep_pen": 1.1, "sampler_order": [6, 0, 1],
        "stop_sequence": ["\n", "x" * 65, *"abcdefghij"], "frmtadsnsp": True,
    }  # fmt: skip
    request = (await requester.ask("generate/text/async", {**ASKED, "params": params}))["id"]
    async with store.begin() as tx:
        job = await tx.anybodys(job_id(request, 0))

    assert job is not None
    assert job.spec.input.keys() == {"prompt", "max_tokens", "temperature", "top_p", "seed", "stop"}
    told = {name: job.spec.input[name] for name in ("max_tokens", "temperature", "top_p", "stop")}
    assert told == {
        "max_tokens": 120, "temperature": 2, "top_p": 0.9, "stop": ["\n", *"abcdefg"],
    }  # fmt: skip
    assert job.spec.payload is not None
    assert job.spec.payload["params"]["temperature"] == 4.5


async def test_a_text_that_became_a_blob_is_told_in_full(
    requester: Requester, backstage: Backstage, deps: ApiDeps
) -> None:
    request = (await requester.ask("generate/text/async", ASKED))["id"]
    whole = b'{"text":"' + b"long " * 1000 + b'","seed":1}'
    blob = await deps.blobs.put(TenantId("anyone"), Blob("application/json", whole))
    await backstage.start(job_id(request, 0))
    await backstage.finish(job_id(request, 0), {"output_blob": blob})

    (made,) = (await requester.get(f"generate/text/status/{request}"))["generations"]

    assert made["text"].startswith("long long")


async def test_a_text_that_was_collected_is_told_as_none(
    requester: Requester, backstage: Backstage
) -> None:
    request = (await requester.ask("generate/text/async", ASKED))["id"]
    await backstage.start(job_id(request, 0))
    await backstage.finish(
        job_id(request, 0), {"output_blob": "00000000-0000-4000-8000-000000000000"}
    )

    (made,) = (await requester.get(f"generate/text/status/{request}"))["generations"]

    assert (made["text"], made["seed"]) == ("", 0)


async def test_deleting_ends_it(requester: Requester, store: Store) -> None:
    request = (await requester.ask("generate/text/async", ASKED))["id"]

    deleted = await requester.delete(f"generate/text/status/{request}")

    assert (deleted["done"], deleted["generations"]) == (True, [])
    async with store.begin() as tx:
        assert [job.id for job in await tx.cancel_wishes("local", limit=10)] == [job_id(request, 0)]


async def test_a_faulted_text_is_done(requester: Requester, backstage: Backstage) -> None:
    request = (await requester.ask("generate/text/async", ASKED))["id"]
    await backstage.start(job_id(request, 0))
    await backstage.fail(job_id(request, 0), {"kind": "internal", "message": "broken"})

    status = await requester.get(f"generate/text/status/{request}")

    assert (status["done"], status["faulted"]) == (True, True)


async def test_asking_dry_tells_the_price_by_the_size_of_the_model(requester: Requester) -> None:
    params = {"max_length": 80, "max_context_length": 2048}

    quoted = await requester.ask(
        "generate/text/async", {**ASKED, "dry_run": True, "params": params}, 200
    )

    assert quoted == {"kudos": 1.824}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"params": {"max_length": 8}}, "params.max_length"),
    ({"params": {"max_length": 80.0}}, "params.max_length"),
    ({"params": {"max_context_length": "2048"}}, "params.max_context_length"),
    ({"params": {"temperature": 6}}, "params.temperature"),
    ({"params": {"stop_sequence": ["a", 5]}}, "params.stop_sequence.1"),
    ({"params": {"sampler_order": [1.5]}}, "params.sampler_order.0"),
    ({"softprompt": ""}, "softprompt"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG, ids=lambda each: str(each)[:40])
async def test_a_wrong_field_is_named(
    requester: Requester, wrong: dict[str, Any], field: str
) -> None:
    body = await requester.ask("generate/text/async", {**ASKED, **wrong}, 400)

    assert list(body["errors"]) == [field]
