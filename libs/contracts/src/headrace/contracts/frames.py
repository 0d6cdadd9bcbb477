"""What a watcher of a job sees: one schema for SSE, WebSocket and replay.

A frame is JSON with a `type`. It is encoded once, by whoever says it; logs, channels and gateways
carry the bytes.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.ids import Position


class Queued(msgspec.Struct, frozen=True, tag_field="type", tag="queued", omit_defaults=True):
    position: int | None = None  # jobs ahead in its lane, when known
    eta_s: float | None = None


class Started(msgspec.Struct, frozen=True, tag_field="type", tag="started"):
    worker: str
    attempt: int


class Attempt(msgspec.Struct, frozen=True, tag_field="type", tag="attempt", omit_defaults=True):
    """A new attempt begins or will begin: forget what earlier epochs showed."""

    attempt: int
    reason: str | None = None
    retry_in_s: float | None = None


class Progress(msgspec.Struct, frozen=True, tag_field="type", tag="progress", omit_defaults=True):
    fraction: float | None = None  # 0..1
    step: int | None = None
    steps: int | None = None
    stage: str | None = None
    note: str | None = None


class Token(msgspec.Struct, frozen=True, tag_field="type", tag="token"):
    text: str


class Preview(msgspec.Struct, frozen=True, tag_field="type", tag="preview", omit_defaults=True):
    image: str  # a data: URL, at most 48 KiB
    step: int | None = None


class Segment(msgspec.Struct, frozen=True, tag_field="type", tag="segment", omit_defaults=True):
    """A piece of what is being made that can be played already, in order; the result names them all."""

    blob: str
    media_type: str
    duration_s: float | None = None


class Log(msgspec.Struct, frozen=True, tag_field="type", tag="log"):
    line: str


class Metric(msgspec.Struct, frozen=True, tag_field="type", tag="metric", omit_defaults=True):
    name: str
    value: float
    step: int | None = None


class Reset(msgspec.Struct, frozen=True, tag_field="type", tag="reset"):
    """The log no longer reaches back to the watcher's position: start over from this state."""

    snapshot: dict[str, Any]


class Cancelling(msgspec.Struct, frozen=True, tag_field="type", tag="cancelling"):
    pass


class Succeeded(msgspec.Struct, frozen=True, tag_field="type", tag="succeeded"):
    result: Any


class Failed(msgspec.Struct, frozen=True, tag_field="type", tag="failed"):
    error: dict[str, Any]


class Cancelled(msgspec.Struct, frozen=True, tag_field="type", tag="cancelled"):
    pass


class Dead(msgspec.Struct, frozen=True, tag_field="type", tag="dead"):
    error: dict[str, Any]


Terminal: TypeAlias = Succeeded | Failed | Cancelled | Dead
Frame: TypeAlias = (
    Queued
    | Started
    | Attempt
    | Progress
    | Token
    | Preview
    | Segment
    | Log
    | Metric
    | Reset
    | Cancelling
    | Terminal
)
TERMINAL_TYPES: Final = frozenset({"succeeded", "failed", "cancelled", "dead"})

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One frame in a log: its position, its type (so nobody decodes to route) and its JSON."""

    position: Position
    type: str
    data: bytes

    @property
    def terminal(self) -> bool:
        return self.type in TERMINAL_TYPES


def frame_type(frame: Frame) -> str:
    return str(type(frame).__struct_config__.tag)


def encode_frame(frame: Frame) -> bytes:
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Raises msgspec.ValidationError (or DecodeError) on what is no frame."""
    return _decoder.decode(data)
