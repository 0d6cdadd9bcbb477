"""The receiver of `docs/webhooks.md` does what the page says, and its figures are the code's."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.core.usecases.call_receivers import Pool
from headrace.core.usecases.purge import CALLS_KEPT
from headrace.core.usecases.webhooks import MOST_ENDPOINTS, OLD_KEY_GOOD_FOR
from headrace.core.webhook_retry import DISABLED_AFTER, MOST_TRIES
from headrace.core.webhook_signing import secret_of, signature
from headrace.core.webhooks import EVERY, MAX_BODY_BYTES

PAGE = (Path(__file__).parents[3] / "docs/webhooks.md").read_text()
SECRET = secret_of(b"s" * 32)
BODY = b'{"type": "job.succeeded", "data": {"id": "42"}}'


@pytest.fixture
async def receiver() -> AsyncGenerator[httpx.AsyncClient]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {"SECRET": SECRET}
    exec(code, space)  # noqa: S102  # our own page
    transport = httpx.ASGITransport(space["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://you") as client:
        yield client


def now() -> int:
    return int(time.time())  # noqa: TID251  # the reference library looks at the real clock


def headers(secret: str, stamp: int) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature([secret], "msg_1", stamp, BODY),
    }


async def test_the_receiver_of_the_page_takes_each_call_once(
    receiver: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    good = headers(SECRET, now())
    answers = [await receiver.post("/headrace", content=BODY, headers=good) for _ in range(2)]

    assert [each.status_code for each in answers] == [204, 204]
    assert capsys.readouterr().out == "job.succeeded 42\n"


async def test_it_refuses_what_is_old_or_not_ours(receiver: httpx.AsyncClient) -> None:
    wrong = headers(secret_of(b"o" * 32), now())
    old = headers(SECRET, now() - 3_600)
    answers = [await receiver.post("/headrace", content=BODY, headers=h) for h in (wrong, old)]
    assert [each.status_code for each in answers] == [401, 401]


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    pool = Pool()
    assert f"{pool.in_all} calls at once, {pool.per_tenant} for one tenant" in PAGE
    assert f"{pool.per_host} to one host" in PAGE
    assert f"{MAX_BODY_BYTES:,} bytes" in PAGE
    assert f"last {CALLS_KEPT.days} days" in PAGE
    assert (MOST_ENDPOINTS, MOST_TRIES, DISABLED_AFTER.days) == (20, 10, 5)
    assert OLD_KEY_GOOD_FOR.total_seconds() == 86_400
    assert all(f"`{event}`" in PAGE for event in EVERY)
