"""The stream as the command line reads it: whole, in order, over connections that break."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from headrace.contracts.frames import Succeeded, Token
from headrace.launch.client import Client, connected
from headrace.launch.errors import Refused, Unreachable
from headrace.testkit.system import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def submitted(client: Client, **given: Any) -> str:
    job = await client.submit({"kind": "echo", "input": {"text": "a b c", **given}})
    return str(job["id"])


async def frames_of(client: Client, job: str, gaps: list[str]) -> list[Any]:
    async with aclosing(client.frames(job, on_gap=gaps.append)) as frames:
        return [seen async for seen in frames]


async def test_a_stream_is_read_to_its_end(client: Client) -> None:
    gaps: list[str] = []
    job = await submitted(client)

    seen = await frames_of(client, job, gaps)

    assert isinstance(seen[-1].frame, Succeeded)
    assert "".join(each.frame.text for each in seen if isinstance(each.frame, Token)) == "a b c"
    assert gaps == []


async def test_a_stream_that_is_cut_goes_on_where_it_was(client: Client, cut: Any) -> None:
    cutter, url = cut
    job = await submitted(client, repeat=30)
    whole = await frames_of(client, job, [])
    gaps: list[str] = []

    async with connected(url, "key-of-red") as shaky:
        seen = await frames_of(shaky, job, gaps)

    assert seen == whole
    assert cutter.connections > 2
    assert len(gaps) == cutter.connections - 1


async def test_patience_ends_where_nobody_comes_back() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(Unreachable, match="nobody listens there"):
            async for _ in client.frames("any", on_gap=lambda _: None, patience_s=0.3):
                pass


async def test_an_unknown_job_is_refused_and_not_tried_again(client: Client) -> None:
    gaps: list[str] = []

    with pytest.raises(Refused) as refused:
        await frames_of(client, "nonesuch", gaps)

    assert (refused.value.status, gaps) == (404, [])


async def test_a_blob_comes_back_as_it_went(client: Client) -> None:
    blob = await client.put_blob(b"\x89PNG\r\n", "image/png")

    assert await client.get_blob(blob) == b"\x89PNG\r\n"
