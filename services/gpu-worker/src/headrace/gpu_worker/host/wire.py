"""What a worker and its child say to each other: msgpack, each message led by its length.

Both sides are always of one release; `PROTOCOL` is there to say so plainly when they are not.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.messages import JobError, Part

PROTOCOL: Final = 3
MAX_BYTES: Final = 512 * 2**20
LENGTH: Final = struct.Struct(">I")


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    protocol: int
    lane: str
    engine: str  # 'package.module:Class'; empty: by the lane's entry point
    settings: dict[str, str]


class Load(msgspec.Struct, frozen=True, tag="load"):
    model: str
    path: str | None = None  # of the file with its weights; None: the engine has them


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    model: str


class LeftBehind(msgspec.Struct, frozen=True):
    """By an attempt before this one."""

    step: int
    data: bytes


class Run(msgspec.Struct, frozen=True, tag="run", omit_defaults=True):
    run: int
    model: str
    attempt: int
    input: dict[str, Any]
    blobs: dict[str, bytes]
    left_behind: LeftBehind | None = None
    devices: list[str] = []  # given to this run alone; empty names: processes on CPUs
    part: Part | None = None  # of a gang over several workers, this one's


class RunMany(msgspec.Struct, frozen=True, tag="run_many"):
    """Together. Each ends by itself, and then the child says `AllEnded`."""

    runs: list[Run]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    run: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    protocol: int
    python: str
    lets_go: bool = False  # the engine can unload a model, and so keep several


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    model: str
    load_s: float
    rss_mb: float
    added_bytes: int = 0


class Unloaded(msgspec.Struct, frozen=True, tag="unloaded"):
    model: str


class Said(msgspec.Struct, frozen=True, tag="said", omit_defaults=True):
    """One frame, ready to be shown: the child encodes it, so that the worker's loop need not."""

    run: int
    frame: str  # its type
    data: bytes
    fraction: float | None = None


class Made(msgspec.Struct, frozen=True, tag="made", omit_defaults=True):
    run: int
    id: str
    media_type: str
    data: bytes
    shown: bool = False  # a segment: who watches is told of it now
    duration_s: float | None = None


class Checkpointed(msgspec.Struct, frozen=True, tag="checkpointed"):
    run: int
    step: int
    data: bytes


class Ended(msgspec.Struct, frozen=True, tag="ended", omit_defaults=True):
    """Neither output nor error: it stopped as it was told. After a `Run` the child is idle again."""

    run: int
    output: bytes | None = None  # JSON
    error: JobError | None = None
    rss_mb: float = 0.0


class AllEnded(msgspec.Struct, frozen=True, tag="all_ended", omit_defaults=True):
    """The child is idle again after a `RunMany`."""

    fits: int | None = None  # so many at once had room, where all had none


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The engine could not be prepared, or a model not loaded or let go of; the child is idle."""

    error: JobError


ToChild: TypeAlias = Prepare | Load | Unload | Run | RunMany | Stop
ToWorker: TypeAlias = (
    Ready | Loaded | Unloaded | Said | Made | Checkpointed | Ended | AllEnded | Failed
)

_encoder: Final = msgspec.msgpack.Encoder()
_to_child: Final = msgspec.msgpack.Decoder(ToChild)
_to_worker: Final = msgspec.msgpack.Decoder(ToWorker)


def pack(message: ToChild | ToWorker) -> bytes:
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def length(head: bytes) -> int:
    """How long the message is. Raises ValueError where no message of ours begins."""
    (size,) = LENGTH.unpack(head)
    if size > MAX_BYTES:
        raise ValueError(f"a message of {size} bytes; the limit is {MAX_BYTES}")
    return int(size)


def for_child(body: bytes) -> ToChild:
    message: ToChild = _to_child.decode(body)
    return message


def for_worker(body: bytes) -> ToWorker:
    """Raises msgspec.DecodeError."""
    message: ToWorker = _to_worker.decode(body)
    return message
