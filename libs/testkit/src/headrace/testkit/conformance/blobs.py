"""What every Blobs adapter promises. Bind it by a subclass with the fixture `blobs`.

`blobs` must be opened with `max_bytes=LIMIT`.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import httpx
import pytest

from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.errors import BlobNotFound, TooLarge
from headrace.core.ports.blobs import Blob, BlobRef, Blobs, Facts

LIMIT: Final = 100_000
PICTURE: Final = Blob("image/png", bytes(range(256)) * 16)


class BlobsPromises:
    @pytest.fixture
    def tenant(self) -> TenantId:
        return TenantId(f"tenant-{uuid4()}")

    async def test_bytes_come_back_with_their_type(self, blobs: Blobs, tenant: TenantId) -> None:
        name = await blobs.put(tenant, PICTURE)

        assert await blobs.get(tenant, name) == PICTURE

    async def test_a_part_can_be_read_and_what_lies_beyond_the_end_is_left_out(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = await blobs.put(tenant, PICTURE)
        size = len(PICTURE.data)

        assert await blobs.read(tenant, name, start=300, length=20) == PICTURE.data[300:320]
        assert await blobs.read(tenant, name, start=size - 7, length=20) == PICTURE.data[-7:]
        assert await blobs.read(tenant, name, start=size, length=20) == b""

    async def test_no_part_is_read_of_what_is_not_there_or_anothers(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = await blobs.put(tenant, PICTURE)

        with pytest.raises(BlobNotFound):
            await blobs.read(TenantId(f"{tenant}-other"), name, start=0, length=1)
        with pytest.raises(BlobNotFound):
            await blobs.read(tenant, BlobId(f"{uuid4()}.png"), start=0, length=1)
        with pytest.raises(BlobNotFound):
            await blobs.read(tenant, BlobId("../../etc/passwd"), start=0, length=1)

    async def test_an_empty_blob_is_a_blob(self, blobs: Blobs, tenant: TenantId) -> None:
        name = await blobs.put(tenant, Blob("text/plain", b""))

        assert await blobs.get(tenant, name) == Blob("text/plain", b"")

    async def test_every_blob_has_a_new_unguessable_name(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        one, two = await blobs.put(tenant, PICTURE), await blobs.put(tenant, PICTURE)

        assert one != two
        assert UUID(one.removesuffix(".png")).version == 4

    async def test_a_type_nobody_knows_comes_back_as_plain_bytes(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = await blobs.put(tenant, Blob("../../etc/passwd", b"x"))

        assert (await blobs.get(tenant, name)).media_type == "application/octet-stream"

    async def test_parameters_of_a_type_do_not_hide_it(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = await blobs.put(tenant, Blob("Application/JSON; charset=utf-8", b"{}"))

        assert (await blobs.get(tenant, name)).media_type == "application/json"

    async def test_bytes_can_be_put_under_a_name_chosen_before(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = BlobId(f"{uuid4()}.webp")

        await blobs.put_as(tenant, name, b"first")
        await blobs.put_as(tenant, name, b"second")

        assert await blobs.get(tenant, name) == Blob("image/webp", b"second")

    async def test_what_is_no_name_of_a_blob_is_not_put(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        with pytest.raises(BlobNotFound):
            await blobs.put_as(tenant, BlobId("../../etc/passwd"), b"x")
        with pytest.raises(TooLarge):
            await blobs.put_as(tenant, BlobId(f"{uuid4()}.webp"), bytes(LIMIT + 1))

    async def test_a_link_takes_and_gives_the_bytes_without_a_key(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        """Where the store has addresses of its own; else the api serves them."""
        name, soon = BlobId(f"{uuid4()}.webp"), timedelta(minutes=1)
        put = await blobs.link(tenant, name, "PUT", within=soon)
        got = await blobs.link(tenant, name, "GET", within=soon)
        if put is None or got is None:
            assert put is got is None
            return

        async with httpx.AsyncClient(trust_env=False) as http:
            kept = await http.put(put, content=b"a picture")
            found = await http.get(got)

        assert (kept.status_code, found.content) == (200, b"a picture")
        assert await blobs.get(tenant, name) == Blob("image/webp", b"a picture")

    async def test_another_tenant_does_not_find_it(self, blobs: Blobs, tenant: TenantId) -> None:
        name = await blobs.put(tenant, PICTURE)
        other = TenantId(f"{tenant}-other")

        await blobs.delete(other, name)

        with pytest.raises(BlobNotFound):
            await blobs.get(other, name)
        assert await blobs.get(tenant, name) == PICTURE

    async def test_what_was_deleted_is_not_found_and_may_be_deleted_again(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name = await blobs.put(tenant, PICTURE)

        await blobs.delete(tenant, name)
        await blobs.delete(tenant, name)

        with pytest.raises(BlobNotFound):
            await blobs.get(tenant, name)

    async def test_what_is_too_large_is_refused(self, blobs: Blobs, tenant: TenantId) -> None:
        await blobs.put(tenant, Blob("text/plain", b"x" * LIMIT))

        with pytest.raises(TooLarge):
            await blobs.put(tenant, Blob("text/plain", b"x" * (LIMIT + 1)))

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../../etc/passwd", "a/b", "a.png", "\x00", f"{UUID(int=0)}.PNG/x"]
    )
    async def test_no_name_leads_elsewhere(self, blobs: Blobs, tenant: TenantId, name: str) -> None:
        with pytest.raises(BlobNotFound):
            await blobs.get(tenant, BlobId(name))
        await blobs.delete(tenant, BlobId(name))

    @pytest.mark.parametrize("name", ["..", ".", "../up", "a/b", "Straße 水", "%2e%2e", "a\x00b"])
    async def test_a_tenant_may_be_called_anything(self, blobs: Blobs, name: str) -> None:
        blob = await blobs.put(TenantId(name), PICTURE)

        assert await blobs.get(TenantId(name), blob) == PICTURE
        with pytest.raises(BlobNotFound):
            await blobs.get(TenantId(f"{name}x"), blob)

    async def test_every_tenants_blobs_are_listed_page_by_page_each_once(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        others = [TenantId(f"{tenant}.{name}/é") for name in "ab"]
        put = {
            BlobRef(whose, await blobs.put(whose, PICTURE))
            for whose in (tenant, *others)
            for _ in range(3)
        }

        found = await listed(blobs, limit=2)

        assert put <= set(found)
        assert len(found) == len(set(found))

    async def test_what_was_put_just_now_is_not_old(self, blobs: Blobs, tenant: TenantId) -> None:
        ref = BlobRef(tenant, await blobs.put(tenant, PICTURE))

        page = await blobs.page(after="", limit=1000)

        assert -5 < dict(page.blobs)[ref] < 60

    async def test_what_was_deleted_is_not_listed(self, blobs: Blobs, tenant: TenantId) -> None:
        ref = BlobRef(tenant, await blobs.put(tenant, PICTURE))
        await blobs.delete(tenant, ref.blob)

        assert ref not in await listed(blobs, limit=100)

    async def test_one_tenants_blobs_are_listed_alone(self, blobs: Blobs, tenant: TenantId) -> None:
        mine = {BlobRef(tenant, await blobs.put(tenant, PICTURE)) for _ in range(3)}
        await blobs.put(TenantId(f"{tenant}-other"), PICTURE)

        assert set(await listed(blobs, limit=2, of=tenant)) == mine

    async def test_size_and_digest_are_known_without_reading_it(
        self, blobs: Blobs, tenant: TenantId
    ) -> None:
        name, chosen = await blobs.put(tenant, PICTURE), BlobId(f"{uuid4()}.webp")
        await blobs.put_as(tenant, chosen, b"chosen")

        facts = await blobs.facts(tenant, name)

        assert facts == Facts("image/png", len(PICTURE.data), digest_of(PICTURE.data))
        assert await blobs.facts(tenant, chosen) == Facts("image/webp", 6, digest_of(b"chosen"))
        for other, blob in ((TenantId("x"), name), (tenant, chosen[::-1]), (tenant, "../x")):
            with pytest.raises(BlobNotFound):
                await blobs.facts(other, BlobId(blob))

    async def test_a_part_of_it_can_be_read(self, blobs: Blobs, tenant: TenantId) -> None:
        name = await blobs.put(tenant, PICTURE)

        assert await blobs.read(tenant, name, start=3, length=4) == PICTURE.data[3:7]
        end = len(PICTURE.data) - 2
        assert await blobs.read(tenant, name, start=end, length=100) == PICTURE.data[end:]
        with pytest.raises(BlobNotFound):
            await blobs.read(TenantId("x"), name, start=0, length=1)

    # --- Uploads ---

    @pytest.fixture
    def upload(self) -> UploadId:
        return UploadId(str(uuid4()))

    async def test_pieces_become_a_blob_larger_than_one_that_comes_at_once_may_be(
        self, blobs: Blobs, tenant: TenantId, upload: UploadId
    ) -> None:
        name, pieces = blobs.new_name("image/png"), [bytes([n]) * LIMIT for n in range(3)]
        for place, piece in enumerate(pieces):
            await blobs.append(tenant, upload, piece, at=place * LIMIT)

        assert await listed(blobs, limit=100, of=tenant) == []
        await blobs.join(tenant, upload, name, size=3 * LIMIT)
        await blobs.join(tenant, upload, name, size=3 * LIMIT)  # its answer was lost

        assert await blobs.get(tenant, name) == Blob("image/png", b"".join(pieces))
        facts = await blobs.facts(tenant, name)
        assert facts == Facts("image/png", 3 * LIMIT, digest_of(b"".join(pieces)))
        assert [ref.blob for ref in await listed(blobs, limit=100, of=tenant)] == [name]

    async def test_what_a_writer_put_that_gave_up_counts_no_more(
        self, blobs: Blobs, tenant: TenantId, upload: UploadId
    ) -> None:
        name = blobs.new_name("text/plain")
        await blobs.append(tenant, upload, b"ab", at=0)
        await blobs.append(tenant, upload, b"wrong", at=2)
        await blobs.append(tenant, upload, b"wrong", at=7)
        await blobs.append(tenant, upload, b"cd", at=2)
        await blobs.append(tenant, upload, b"e", at=4)

        await blobs.join(tenant, upload, name, size=5)

        assert (await blobs.get(tenant, name)).data == b"abcde"

    async def test_what_is_not_whole_becomes_no_blob(
        self, blobs: Blobs, tenant: TenantId, upload: UploadId
    ) -> None:
        name = blobs.new_name("text/plain")
        await blobs.append(tenant, upload, b"ab", at=0)

        for whose, size in ((tenant, 3), (TenantId("x"), 2)):
            with pytest.raises(BlobNotFound):
                await blobs.join(whose, upload, name, size=size)
        with pytest.raises(BlobNotFound):
            await blobs.get(tenant, name)

    async def test_an_abandoned_upload_is_gone_and_may_be_abandoned_again(
        self, blobs: Blobs, tenant: TenantId, upload: UploadId
    ) -> None:
        await blobs.append(tenant, upload, b"ab", at=0)

        await blobs.abandon(tenant, upload)
        await blobs.abandon(tenant, upload)

        with pytest.raises(BlobNotFound):
            await blobs.join(tenant, upload, blobs.new_name("text/plain"), size=2)

    async def test_it_says_that_it_is_there(self, blobs: Blobs) -> None:
        await blobs.ping()


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def listed(blobs: Blobs, *, limit: int, of: TenantId | None = None) -> list[BlobRef]:
    found: list[BlobRef] = []
    place: str | None = ""
    while place is not None:
        page = await blobs.page(after=place, limit=limit, of=of)
        assert len(page.blobs) <= limit
        found += [ref for ref, _ in page.blobs]
        place = page.next
    return found
