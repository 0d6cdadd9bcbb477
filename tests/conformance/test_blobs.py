"""Every blobs adapter, held to the same promises."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import obstore
import pytest

from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.adapters.blobs.s3.blobs import open_s3_blobs
from headrace.contracts.ids import TenantId, UploadId
from headrace.core.errors import Misconfigured, Unavailable
from headrace.core.ports.blobs import Blobs
from headrace.testkit.builders import a_job_id
from headrace.testkit.conformance.blobs import LIMIT, PICTURE, BlobsPromises
from headrace.testkit.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, s3_server
from headrace.testkit.servers import LOCALHOST, free_port


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


class TestFiles(BlobsPromises):
    @pytest.fixture
    async def blobs(self, tmp_path: Path) -> AsyncGenerator[Blobs]:
        async with open_file_blobs(tmp_path / "blobs", max_bytes=LIMIT) as blobs:
            yield blobs

    async def test_nothing_unfinished_is_left_beside_the_blob(self, tmp_path: Path) -> None:
        async with open_file_blobs(tmp_path) as blobs:
            name = await blobs.put(TenantId("t"), PICTURE)

        assert sorted(files_below(tmp_path)) == [f".sha256-{name}", name]

    async def test_a_directory_that_cannot_be_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(Unavailable):
            async with open_file_blobs(tmp_path / "file" / "blobs"):
                pass


@pytest.fixture(scope="module")
def s3() -> Generator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.mark.real
class TestS3(BlobsPromises):
    @pytest.fixture
    async def blobs(self, s3: S3Server) -> AsyncGenerator[Blobs]:
        async with open_s3_blobs(
            f"s3://{BUCKET}/some/prefix",
            endpoint=s3.endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            max_bytes=LIMIT,
        ) as blobs:
            yield blobs

    @pytest.mark.parametrize(("length", "reads"), [(LIMIT // 3, 1), (LIMIT, 2)])
    async def test_an_upload_that_may_be_held_is_joined_by_reading_it_once(
        self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, length: int, reads: int
    ) -> None:
        tenant, upload = TenantId("t"), UploadId(a_job_id())
        pieces = [bytes([n]) * length for n in (1, 2, 3)]
        for nth, piece in enumerate(pieces):
            await blobs.append(tenant, upload, piece, at=nth * length)
        asked: list[str] = []
        really = obstore.get

        def counted(store: Any, path: str, **how: Any) -> Any:
            asked.append(path)
            return really(store, path, **how)

        with monkeypatch.context() as patch:
            patch.setattr(obstore, "get", counted)
            name = blobs.new_name("text/plain")
            await blobs.join(tenant, upload, name, size=3 * length)

        facts, kept = await blobs.facts(tenant, name), await blobs.get(tenant, name)
        assert len(asked) == 3 * reads
        assert kept.data == b"".join(pieces)
        assert facts.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()

    async def test_a_missing_bucket_is_unavailable(self, s3: S3Server) -> None:
        async with open_s3_blobs(
            "s3://nowhere",
            endpoint=s3.endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
        ) as blobs:
            with pytest.raises(Unavailable):
                await blobs.ping()
            with pytest.raises(Unavailable):
                await blobs.put(TenantId("t"), PICTURE)


async def test_a_bucket_nobody_serves_is_unavailable() -> None:
    endpoint = f"http://{LOCALHOST}:{free_port()}"
    async with open_s3_blobs(
        "s3://bucket", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY
    ) as blobs:
        with pytest.raises(Unavailable):
            await blobs.put(TenantId("t"), PICTURE)


async def test_a_url_without_a_bucket_is_refused_with_a_remedy() -> None:
    with pytest.raises(Misconfigured, match="s3://bucket"):
        async with open_s3_blobs("s3://"):
            pass
