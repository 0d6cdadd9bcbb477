"""The part of the port's transaction that keeps uploads; what each verb does is told in `uploads`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.adapters.store.sql import uploads
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import UploadId
from headrace.core.ports.uploads import Upload


class UploadVerbs:
    _session: Session

    async def insert_upload(self, upload: Upload, *, most_bytes: int) -> Upload | None:
        return await uploads.insert_upload(self._session, upload, most_bytes)

    async def upload(self, upload: UploadId) -> Upload | None:
        return await uploads.find(self._session, upload)

    async def hold_upload(self, upload: UploadId, holder: str, *, until: datetime) -> Upload | None:
        return await uploads.hold(self._session, upload, holder, until)

    async def advance_upload(self, upload: Upload, *, before: int) -> bool:
        return await uploads.advance(self._session, upload, before)

    async def release_upload(self, upload: UploadId, holder: str) -> None:
        await uploads.release(self._session, upload, holder)

    async def finish_upload(self, upload: UploadId) -> None:
        await uploads.finish(self._session, upload)

    async def expired_uploads(self, *, limit: int) -> list[Upload]:
        return await uploads.expired(self._session, limit)

    async def delete_uploads(self, gone: Sequence[UploadId]) -> None:
        await uploads.remove(self._session, gone)
