"""Names of things, as types: an id is never a bare string in a signature."""

from __future__ import annotations

import re
from typing import Final, NewType

import msgspec
from typing_extensions import override

JobId = NewType("JobId", str)  # UUID version 4: unguessable, and accepted by every dialect
TenantId = NewType("TenantId", str)
WorkerId = NewType("WorkerId", str)
ClaimId = NewType("ClaimId", str)  # one claim, however often it is sent
Lane = NewType("Lane", str)  # the queue of jobs that one engine serves
BlobId = NewType("BlobId", str)
ScheduleId = NewType("ScheduleId", str)
EndpointId = NewType("EndpointId", str)  # who is told of a tenant's jobs
CallId = NewType("CallId", str)  # one event for one receiver
RunId = NewType("RunId", str)  # one run of a pipeline: UUID version 4, as a job's
BatchId = NewType("BatchId", str)  # as a run's
DeletionId = NewType("DeletionId", str)  # of a wish that something be gone
UploadId = NewType("UploadId", str)  # of bytes that come piece by piece
KeyId = NewType("KeyId", str)  # of an API key, and no secret; the key itself is kept nowhere
UserId = NewType("UserId", int)  # of who has kudos; written `alias#7`

_POSITION: Final = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})")


# Made and compared once for every frame that is shown: a struct does both in C, and `gc=False`
# keeps what cannot be part of a cycle out of the collector's sight.
class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where a frame stands in its job's log: later epochs come after earlier ones.

    Written `epoch-seq`, which is at once the Redis Stream id, the SSE `id:` and the WebSocket cursor.
    """

    epoch: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read `epoch-seq`; raises ValueError on anything else (it comes from clients)."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError(f"a position looks like '3-17', not {text[:40]!r}")
        return cls(int(match[1]), int(match[2]))

    @override
    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


START: Final = Position(0, 0)  # before every frame; Redis refuses it as an id, so no frame has it
