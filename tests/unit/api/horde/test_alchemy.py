"""The flow of who has a picture described or enlarged: interrogate/async, interrogate/status, DELETE."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.unit.api.conftest import Backstage
from tests.unit.api.horde.conftest import Requester
from tests.unit.api.horde.test_images import PNG

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Store
from headrace.engines.registry import card
from headrace.engines.upscale.realesrgan import RealEsrganEngine

SOURCE = base64.b64encode(PNG).decode()


def asked(*forms: str) -> dict[str, Any]:
    return {"forms": [{"name": form} for form in forms], "source_image": SOURCE}


@pytest.fixture
async def enlarging(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([card(Lane("realesrgan"), RealEsrganEngine)])


@pytest.mark.usefixtures("enlarging")
async def test_a_picture_is_enlarged_by_an_engine_of_ours(
    requester: Requester, store: Store, deps: ApiDeps, backstage: Backstage, http: httpx.AsyncClient
) -> None:
    accepted = await requester.ask("interrogate/async", asked("RealESRGAN_x4plus"))
    request, job = accepted["id"], job_id(accepted["id"], 0)
    assert (accepted.keys(), UUID(request).version) == ({"id"}, 4)
    status = await requester.get(f"interrogate/status/{request}")
    waiting = {"form": "RealESRGAN_x4plus", "state": "waiting"}
    assert status == {"state": "waiting", "forms": [waiting]}
    async with store.begin() as tx:
        kept = await tx.anybodys(job)
    assert kept is not None
    assert (kept.lane, kept.spec.model) == ("realesrgan", "realesr-animevideov3-x4")

    await backstage.start(job)
    assert (await requester.get(f"interrogate/status/{request}"))["state"] == "processing"
    blob = await deps.blobs.put(TenantId("anyone"), Blob("image/png", PNG))
    await backstage.finish(job, {"image": {"blob": blob}, "width": 4, "height": 4})
    status = await requester.get(f"interrogate/status/{request}")

    assert (status["state"], status["forms"][0]["state"]) == ("done", "done")
    address = status["forms"][0]["result"]["RealESRGAN_x4plus"]
    assert (await http.get(address)).content == PNG


async def test_what_no_engine_does_waits_for_a_worker_and_says_so(
    requester: Requester, store: Store
) -> None:
    accepted = await requester.ask("interrogate/async", asked("caption", "nsfw"))

    assert accepted["message"] == (
        "No engine of this server does caption, nsfw: that waits for a worker that does."
    )
    async with store.begin() as tx:
        jobs = [await tx.anybodys(job_id(accepted["id"], place)) for place in range(2)]
    assert [None if job is None else job.lane for job in jobs] == ["remote.caption", "remote.nsfw"]
    assert jobs[0] is not None
    assert jobs[0].spec.input.keys() == {"form", "payload", "source_image"}


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ({"caption": "a red fox"}, {"caption": "a red fox"}),
        ({"text": "a red fox"}, {"caption": "a red fox"}),
        ({"form": "caption", "result": {"caption": "a red fox"}}, {"caption": "a red fox"}),
    ],
)
async def test_a_caption_is_told_whoever_wrote_it(
    requester: Requester, store: Store, backstage: Backstage, output: Any, result: Any
) -> None:
    schema = {"type": "object", "properties": {"image": {"type": "object"}}}
    ours = EngineCard(Lane("captions"), "caption", ["blip"], schema)
    async with store.begin() as tx:
        await tx.announce_engines([ours])
    accepted = await requester.ask("interrogate/async", asked("caption", "nsfw"))
    await backstage.start(job_id(accepted["id"], 0))
    await backstage.finish(job_id(accepted["id"], 0), output)

    status = await requester.get(f"interrogate/status/{accepted['id']}")

    assert status["state"] == "partial"
    assert status["forms"][0] == {"form": "caption", "state": "done", "result": result}


async def test_a_form_that_failed_is_faulted(requester: Requester, backstage: Backstage) -> None:
    request = (await requester.ask("interrogate/async", asked("caption")))["id"]
    await backstage.start(job_id(request, 0))
    await backstage.fail(job_id(request, 0), {"kind": "internal", "message": "broken"})

    status = await requester.get(f"interrogate/status/{request}")

    assert status == {"state": "faulted", "forms": [{"form": "caption", "state": "faulted"}]}


async def test_deleting_ends_all_forms(requester: Requester) -> None:
    request = (await requester.ask("interrogate/async", asked("caption", "GFPGAN")))["id"]

    assert (await requester.delete(f"interrogate/status/{request}"))["state"] == "cancelled"
    await requester.get(f"generate/check/{request}", 404)


@pytest.mark.usefixtures("enlarging")
async def test_a_picture_by_address_is_left_to_remote_workers(
    requester: Requester, store: Store
) -> None:
    """Nothing is fetched from here for whoever asks."""
    body = {**asked("RealESRGAN_x4plus"), "source_image": "https://example.org/fox.png"}
    request = (await requester.ask("interrogate/async", body))["id"]
    async with store.begin() as tx:
        job = await tx.anybodys(job_id(request, 0))

    assert job is not None
    assert job.lane == "remote.upscale"
    assert job.spec.input["source_image"] == "https://example.org/fox.png"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (asked("palmistry"), "forms.0.name"),
        (asked("caption", "caption"), "forms"),
        (asked(), "forms"),
        ({"forms": [{"name": "caption"}]}, "source_image"),
        ({**asked("caption"), "forms": [{"name": 5}]}, "forms.0.name"),
        ({**asked("caption"), "webhook": "http://example.org"}, "webhook"),
    ],
)
async def test_a_wrong_field_is_named(requester: Requester, body: Any, field: str) -> None:
    assert list((await requester.ask("interrogate/async", body, 400))["errors"]) == [field]
