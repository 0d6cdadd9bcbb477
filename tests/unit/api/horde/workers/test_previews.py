"""Previews of any size become what a frame holds, and no more."""

from __future__ import annotations

import base64
import io
import sys

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.unit.api.horde.conftest import Requester
from tests.unit.api.horde.workers.conftest import ASKED, RemoteWorker

from headrace.api.dialects.horde.steps import LARGEST_PREVIEW
from headrace.contracts.frames import Preview, decode_frame
from headrace.contracts.ids import START, ClaimId
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams


def a_png(width: int, height: int) -> bytes:
    """Of noise, which no format makes small."""
    held = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(held, "PNG")
    return held.getvalue()


async def show(
    worker: RemoteWorker, requester: Requester, data: bytes
) -> tuple[str, httpx.Response]:
    await requester.ask("generate/async", ASKED)
    claim = (await worker.pop())["id"]
    path = f"/api/v2/generate/preview/{claim}"
    return claim, await worker.http.post(path, content=data, headers=worker.key)


async def test_a_large_preview_is_shown_smaller(
    worker: RemoteWorker, requester: Requester, streams: Streams, store: Store
) -> None:
    given = a_png(1024, 768)
    assert len(given) > LARGEST_PREVIEW

    claim, answer = await show(worker, requester, given)

    assert answer.status_code == 200, answer.text
    async with store.begin() as tx:
        take = await tx.take(ClaimId(claim))
    assert take is not None
    frame = decode_frame((await streams.read(take.job, START, limit=9)).entries[-1].data)
    assert isinstance(frame, Preview)
    shown = base64.b64decode(frame.image.removeprefix("data:image/webp;base64,"))
    assert len(shown) <= LARGEST_PREVIEW
    picture = Image.open(io.BytesIO(shown))
    assert picture.width * 3 == picture.height * 4


@pytest.mark.parametrize(
    ("data", "status", "rc"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50_000), 400, "ImageValidationFailed"),
        (bytes(50_000), 400, "ImageValidationFailed"),
        (bytes(5 * 2**20), 413, "PayloadTooLarge"),
    ],
    ids=["broken", "no picture", "beyond all measure"],
)
async def test_what_cannot_be_shown_is_refused(
    worker: RemoteWorker, requester: Requester, data: bytes, status: int, rc: str
) -> None:
    _, answer = await show(worker, requester, data)

    assert (answer.status_code, answer.json()["rc"]) == (status, rc)


async def test_a_server_that_can_make_nothing_smaller_says_so(
    worker: RemoteWorker, requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = a_png(256, 256)
    monkeypatch.setitem(sys.modules, "PIL", None)

    _, answer = await show(worker, requester, large)

    assert (answer.status_code, answer.json()["rc"]) == (413, "PayloadTooLarge")
    assert "cannot make it smaller" in answer.json()["message"]
