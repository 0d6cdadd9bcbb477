"""A `Work` that writes down what an engine says, and can be told when to stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from headrace.contracts.frames import Frame, Log, Metric, Preview, Progress, Segment, Token
from headrace.contracts.messages import Part
from headrace.engines.engine import BlobRef, Checkpoint, Engine, Stopped
from headrace.engines.registry import decode_input

F = TypeVar("F")


@dataclass
class RecordedWork:
    """Keep every frame and blob; `stop_after` that many frames, every call raises `Stopped`."""

    model: str
    input: Any
    attempt: int = 1
    devices: Sequence[str] = ()
    part: Part | None = None
    stop_after: int | None = None
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    previews: list[bytes] = field(default_factory=list)
    blobs: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    before: Checkpoint | None = None  # what it goes on from
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def check(self) -> None:
        if self.stop_after is not None and len(self.frames) >= self.stop_after:
            raise Stopped

    def token(self, text: str) -> None:
        self._say(Token(text))

    def progress(
        self,
        fraction: float | None = None,
        *,
        step: int | None = None,
        steps: int | None = None,
        stage: str | None = None,
        note: str | None = None,
    ) -> None:
        self._say(Progress(fraction, step, steps, stage, note))

    def preview(self, image: bytes, *, step: int | None = None) -> None:
        self.previews.append(image)
        self._say(Preview(f"{len(image)} bytes", step))

    def log(self, line: str) -> None:
        self._say(Log(line))

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        self._say(Metric(name, value, step))

    def blob(self, data: bytes, media_type: str) -> BlobRef:
        self.check()
        ref = BlobRef(f"blob-{len(self.blobs) + 1}")
        self.blobs[ref.id] = (data, media_type)
        return ref

    def segment(self, data: bytes, media_type: str, *, duration_s: float | None = None) -> BlobRef:
        ref = self.blob(data, media_type)
        self._say(Segment(ref.id, media_type, duration_s))
        return ref

    def read(self, reference: Mapping[str, str]) -> bytes:
        return self.inputs[reference["blob"]]

    def checkpoint(self, data: bytes, *, step: int) -> None:
        self.check()
        self.checkpoints.append(Checkpoint(step, data))

    def resume(self) -> Checkpoint | None:
        return self.before

    def said(self, frame_type: type[F]) -> list[F]:
        return [frame for frame in self.frames if isinstance(frame, frame_type)]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.said(Token))

    def _say(self, frame: Frame) -> None:
        self.check()
        self.frames.append(frame)


def work_for(engine: type[Engine], given: Mapping[str, Any], **rest: Any) -> RecordedWork:
    """Work whose input is decoded as a worker would; raises BadInput where that would."""
    rest.setdefault("model", next(iter(engine.models), ""))
    return RecordedWork(input=decode_input(engine, given), **rest)


def sent(output: dict[str, Any]) -> dict[str, Any]:
    """The output as it arrives after the wire; fails where it is not JSON."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(output))
    return decoded
