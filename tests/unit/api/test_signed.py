"""Signed addresses of blobs: good for one blob, one method, for a while, and only as they were signed."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.api.signed import Method, SignedLinks
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.ports.store import Store
from headrace.testkit.memory_blobs import MemoryBlobs

BLOB = BlobId("30936d60-0b51-401b-bc46-205df61bba67.png")
HOUR = timedelta(hours=1)


@pytest.fixture
def links(store: Store) -> SignedLinks:
    return SignedLinks(store, MemoryBlobs())


async def signed(
    links: SignedLinks, tenant: str = "red", method: Method = "GET", within: timedelta = HOUR
) -> tuple[str, int, str]:
    """Whose, until when, and the signature."""
    address = await links.link("http://here/", TenantId(tenant), BLOB, method, within=within)
    query = parse_qs(urlsplit(address).query)
    return query["of"][0], int(query["until"][0]), query["signature"][0]


@pytest.mark.parametrize("tenant", ["red", "a:b", "größe", "a&of=b"])
async def test_it_opens_the_blob_that_it_was_made_for(links: SignedLinks, tenant: str) -> None:
    of, until, signature = await signed(links, tenant)

    assert of == tenant
    assert await links.is_good("GET", TenantId(of), BLOB, until, signature)


async def test_what_one_process_has_signed_another_reads(store: Store, links: SignedLinks) -> None:
    of, until, signature = await signed(links)

    another = SignedLinks(store, MemoryBlobs())
    assert await another.is_good("GET", TenantId(of), BLOB, until, signature)


async def test_it_is_over_in_time_and_nobody_can_prolong_it(links: SignedLinks) -> None:
    of, until, signature = await signed(links, within=-timedelta(seconds=1))

    assert not await links.is_good("GET", TenantId(of), BLOB, until, signature)
    assert not await links.is_good("GET", TenantId(of), BLOB, until + 3600, signature)


async def test_it_is_for_one_blob_one_method_and_one_tenant(links: SignedLinks) -> None:
    of, until, signature = await signed(links)

    assert not await links.is_good("PUT", TenantId(of), BLOB, until, signature)
    assert not await links.is_good("GET", TenantId("blue"), BLOB, until, signature)
    other = BlobId(BLOB.replace("3", "4"))
    assert not await links.is_good("GET", TenantId(of), other, until, signature)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(made_up=st.text(max_size=120))
async def test_what_nobody_signed_opens_nothing(links: SignedLinks, made_up: str) -> None:
    of, until, _ = await signed(links)

    assert not await links.is_good("GET", TenantId(of), BLOB, until, made_up)
