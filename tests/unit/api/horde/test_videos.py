"""The flow of a requester of videos: that of images, with routes of its own."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.unit.api.conftest import Backstage
from tests.unit.api.horde.conftest import Requester
from tests.unit.api.horde.test_images import CHECKED, GENERATED, strictly

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.frames import Segment, encode_frame
from headrace.contracts.ids import Lane, TenantId
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Store
from headrace.engines.registry import card
from headrace.engines.video.engine import EmojiMotionEngine

MODEL = "emoji-motion"
ASKED: dict[str, Any] = {"prompt": "a red fox", "models": [MODEL]}
WEBM = b"\x1a\x45\xdf\xa3-and-the-rest"


@pytest.fixture(autouse=True)
async def motion(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([card(Lane("emoji-motion"), EmojiMotionEngine)])


async def finish(deps: ApiDeps, backstage: Backstage, request: str) -> None:
    """As the video engine ends it."""
    job = job_id(request, 0)
    await backstage.start(job)
    blob = await deps.blobs.put(TenantId("anyone"), Blob("video/webm", WEBM))
    await backstage.finish(job, {"video": {"blob": blob}, "segments": [], "seed": 7})


async def test_a_video_is_asked_for_checked_and_had(
    requester: Requester, deps: ApiDeps, backstage: Backstage, http: httpx.AsyncClient
) -> None:
    request = (await requester.ask("generate/video/async", ASKED))["id"]
    checked = await requester.get(f"generate/video/check/{request}")
    strictly(checked, CHECKED, "kudos")
    assert (checked["waiting"], checked["done"]) == (1, False)

    await finish(deps, backstage, request)

    status = await requester.get(f"generate/video/status/{request}")
    strictly(status, CHECKED, "kudos", "generations")
    (made,) = status["generations"]
    strictly({**made, "img": made["video"]}, GENERATED, "video")
    assert (made["seed"], made["model"], made["state"]) == ("7", MODEL, "ok")
    video = await http.get(made["video"])
    assert (video.status_code, video.content) == (200, WEBM)
    assert video.headers["content-type"] == "video/webm"


async def test_a_video_comes_as_base64_where_no_address_is_wanted(
    requester: Requester, deps: ApiDeps, backstage: Backstage
) -> None:
    request = (await requester.ask("generate/video/async", {**ASKED, "r2": False}))["id"]

    await finish(deps, backstage, request)

    (made,) = (await requester.get(f"generate/video/status/{request}"))["generations"]
    assert base64.b64decode(made["video"]) == WEBM


async def test_the_engine_is_told_what_was_asked_for(requester: Requester, store: Store) -> None:
    params = {"length": 48, "fps": 24, "steps": 20, "width": 256, "height": 128, "seed": "42"}
    request = (await requester.ask("generate/video/async", {**ASKED, "params": params}))["id"]

    async with store.begin() as tx:
        job = await tx.anybodys(job_id(request, 0))

    assert job is not None
    assert (job.spec.kind, job.spec.model, job.lane) == ("video", MODEL, "emoji-motion")
    assert job.spec.input == {
        "prompt": "a red fox",
        "frames": 48,
        "fps": 24,
        "steps": 20,
        "guidance": 7.5,
        "seed": 42,
        "size": 256,
    }


async def test_what_it_would_cost_is_the_first_picture_and_a_quarter_of_each_other(
    requester: Requester,
) -> None:
    params = {"length": 16, "steps": 20}
    asked = {**ASKED, "params": params, "dry_run": True}

    quoted = await requester.ask("generate/video/async", asked, 200)

    assert quoted == {"kudos": 19}


async def test_pieces_are_on_its_stream_before_the_whole_is_there(
    requester: Requester, backstage: Backstage, http: httpx.AsyncClient
) -> None:
    request = (await requester.ask("generate/video/async", ASKED))["id"]
    job = job_id(request, 0)
    piece = Segment("a-piece.webm", "video/webm", 1.0)
    await backstage.start(job)
    await backstage.say(job, piece)
    await backstage.finish(job, {"video": {"blob": "whole.webm"}})

    stream = await http.get(f"/api/v2/generate/{request}/stream")

    told, _, end = stream.text.partition("event: succeeded")
    assert encode_frame(piece).decode() in told
    assert "whole.webm" in end


async def test_its_end_is_asked_for_by_its_id(requester: Requester) -> None:
    request = (await requester.ask("generate/video/async", ASKED))["id"]

    ended = await requester.delete(f"generate/video/status/{request}")

    assert (ended["done"], ended["generations"]) == (True, [])


async def test_a_request_is_found_by_the_routes_of_its_kind_alone(requester: Requester) -> None:
    video = (await requester.ask("generate/video/async", ASKED))["id"]

    refused = await requester.get(f"generate/status/{video}", 404)

    assert refused["rc"] == "RequestNotFound"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"params": {"length": 1}}, "params.length"),
    ({"params": {"length": 1001}}, "params.length"),
    ({"params": {"fps": 0}}, "params.fps"),
    ({"params": {"width": 100}}, "params.width"),
    ({"params": {"n": 5}}, "params.n"),
    ({"r2": None}, "r2"),
]


@pytest.mark.parametrize(("more", "field"), WRONG, ids=[str(more) for more, _ in WRONG])
async def test_a_wrong_field_is_named(
    requester: Requester, more: dict[str, Any], field: str
) -> None:
    refused = await requester.ask("generate/video/async", {**ASKED, **more}, 400)

    assert list(refused["errors"]) == [field]
