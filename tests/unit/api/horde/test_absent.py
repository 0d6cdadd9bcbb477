"""What the protocol has and this server does not: said in the protocol's own shapes."""

from __future__ import annotations

import pytest
from tests.unit.api.horde.conftest import Requester


@pytest.mark.parametrize("path", ["styles/image", "styles/text", "collections", "teams"])
async def test_a_list_of_what_is_not_here_is_empty(requester: Requester, path: str) -> None:
    assert await requester.get(path) == []


@pytest.mark.parametrize(
    ("path", "rc"),
    [
        ("styles/image/1", "StyleNotFound"),
        ("styles/image_by_name/a%20style", "StyleNotFound"),
        ("styles/text/1", "StyleNotFound"),
        ("styles/text_by_name/a", "StyleNotFound"),
        ("collections/1", "CollectionNotFound"),
        ("collection_by_name/a", "CollectionNotFound"),
        ("teams/1", "TeamNotFound"),
    ],
)
async def test_none_is_found_by_any_id(requester: Requester, path: str, rc: str) -> None:
    assert (await requester.get(path, 404))["rc"] == rc


async def test_nobody_makes_one(requester: Requester) -> None:
    refused = await requester.ask("teams", {"name": "ours"}, 405)

    assert refused["rc"] == "MethodNotAllowed"
