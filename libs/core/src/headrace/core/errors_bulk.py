"""What can go wrong with batches, uploads and deletions."""

from __future__ import annotations

from headrace.core.errors import HeadraceError


class BatchNotFound(HeadraceError):
    """No such batch for this tenant."""

    def __init__(self, batch: str) -> None:
        super().__init__(f"no batch {batch}")
        self.batch = batch


class EmptyBatch(HeadraceError):
    def __init__(self) -> None:
        super().__init__("a batch has at least one item")


class TooManyItems(HeadraceError):
    def __init__(self, items: int, limit: int) -> None:
        super().__init__(f"a batch of {items} items; {limit} are the most")
        self.items, self.limit = items, limit


class BatchNotOver(HeadraceError):
    def __init__(self, batch: str, state: str) -> None:
        super().__init__(f"batch {batch} is {state}; one that is over is deleted")
        self.batch, self.state = batch, state


class JobOfBatch(HeadraceError):
    """It goes with its batch, whose source has its input too, or not at all."""

    def __init__(self, job: str, batch: str) -> None:
        super().__init__(f"job {job} belongs to batch {batch}: delete that")
        self.job, self.batch = job, batch


class JobOfRun(HeadraceError):
    """It goes with its run, or not at all."""

    def __init__(self, job: str, run: str) -> None:
        super().__init__(f"job {job} belongs to run {run}: delete that")
        self.job, self.run = job, run


class DeletionNotFound(HeadraceError):
    def __init__(self, deletion: str) -> None:
        super().__init__(f"no deletion {deletion}")
        self.deletion = deletion


class TooManyDeletions(HeadraceError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} deletions of this tenant wait already; ask again when some are over"
        )
        self.limit = limit


class TooManyBatches(HeadraceError):
    """As many of the tenant's are under way as may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} batches of yours are not over, which are the most")
        self.limit = limit


class UploadNotFound(HeadraceError):
    """No such upload for this tenant, or it has expired."""

    def __init__(self, upload: str) -> None:
        super().__init__(f"no upload {upload}")
        self.upload = upload


class UploadHeld(HeadraceError):
    """Somebody else sends for it at this moment."""

    def __init__(self, upload: str) -> None:
        super().__init__(f"somebody sends for upload {upload} already; ask again in a moment")
        self.upload = upload


class UploadMoved(HeadraceError):
    """What was sent does not begin where what is kept ends."""

    def __init__(self, upload: str, received: int) -> None:
        super().__init__(f"upload {upload} goes on at {received}")
        self.upload, self.received = upload, received


class TooManyUploads(HeadraceError):
    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            f"this tenant has as many uploads under way as it may, or {most_bytes} bytes of them; end one"
        )
        self.most_bytes = most_bytes


class TooManyPieces(HeadraceError):
    def __init__(self, upload: str, limit: int) -> None:
        super().__init__(
            f"upload {upload} came in {limit} pieces, which are the most: send larger ones"
        )
        self.upload, self.limit = upload, limit


class WrongChecksum(HeadraceError):
    def __init__(self, upload: str) -> None:
        super().__init__(f"what came for upload {upload} is not what its checksum says")
        self.upload = upload
