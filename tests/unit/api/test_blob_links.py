"""Links to blobs: good for one blob, for a while, and only as they were signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.api.blob_links import GOOD_FOR, opened, path_to
from headrace.api.problems import Refused
from headrace.contracts.ids import BlobId, TenantId

KEY, NOW = b"k" * 32, datetime(2026, 1, 2, tzinfo=UTC)
BLOB = BlobId("30936d60-0b51-401b-bc46-205df61bba67.png")


def token(tenant: str = "red", key: bytes = KEY) -> str:
    return path_to(TenantId(tenant), BLOB, key, now=NOW).partition("?link=")[2]


@pytest.mark.parametrize("tenant", ["red", "a:b", "größe"])
def test_it_opens_the_blob_that_it_was_made_for(tenant: str) -> None:
    assert opened(BLOB, token(tenant), KEY, now=NOW) == tenant


def test_it_expires() -> None:
    assert opened(BLOB, token(), KEY, now=NOW + GOOD_FOR - timedelta(seconds=1)) == "red"
    with pytest.raises(Refused, match="has expired"):
        opened(BLOB, token(), KEY, now=NOW + GOOD_FOR)


def test_it_opens_no_other_blob_and_no_other_key_signs_it() -> None:
    with pytest.raises(Refused):
        opened(BLOB.replace("3", "4"), token(), KEY, now=NOW)
    with pytest.raises(Refused):
        opened(BLOB, token(key=b"another"), KEY, now=NOW)


@given(st.text(max_size=120))
def test_what_nobody_signed_opens_nothing(made_up: str) -> None:
    with pytest.raises(Refused):
        opened(BLOB, made_up, KEY, now=NOW)


@given(st.integers(0, 70), st.characters(codec="ascii"))
def test_no_character_of_it_can_be_changed(place: int, other: str) -> None:
    good = token()
    place %= len(good) - 1  # the last one may have bits that count for nothing
    changed = good[:place] + other + good[place + 1 :]

    if changed == good:
        return
    with pytest.raises(Refused):
        opened(BLOB, changed, KEY, now=NOW)
