"""`Work` as the engine in a child sees it: what it says becomes a message to the worker at once."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headrace.contracts import frames
from headrace.contracts.messages import Part
from headrace.engines.engine import BadInput, BlobRef, Checkpoint, Stopped
from headrace.gpu_worker.host.errors import shortened
from headrace.gpu_worker.host.wire import Checkpointed, Made, Run, Said, ToWorker

MAX_PREVIEW_BYTES: Final = 36_000
MAX_TOKEN_CHARS: Final = 8_192  # four bytes each at most, in one frame
MAX_LINE_CHARS: Final = 2_000
MAX_MADE_BYTES: Final = 256 * 2**20
MAX_CHECKPOINT_BYTES: Final = 32 * 2**20  # as large as a blob may be
_MAGIC: Final = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"))


class ChildWork:
    """One run. `stopped` is asked before each word."""

    def __init__(
        self,
        request: Run,
        given: Any,
        *,
        send: Callable[[ToWorker], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._request = request
        self._given = given
        self._send = send
        self._stopped = stopped
        self._made = 0
        self._made_bytes = 0
        self._step: int | None = None  # of its latest checkpoint

    @property
    def model(self) -> str:
        return self._request.model

    @property
    def attempt(self) -> int:
        return self._request.attempt

    @property
    def input(self) -> Any:
        return self._given

    @property
    def devices(self) -> Sequence[str]:
        return self._request.devices

    @property
    def part(self) -> Part | None:
        return self._request.part

    def check(self) -> None:
        if self._stopped():
            raise Stopped

    def token(self, text: str) -> None:
        for start in range(0, len(text), MAX_TOKEN_CHARS):
            self._say(frames.Token(text[start : start + MAX_TOKEN_CHARS]))

    def progress(
        self,
        fraction: float | None = None,
        *,
        step: int | None = None,
        steps: int | None = None,
        stage: str | None = None,
        note: str | None = None,
    ) -> None:
        if fraction is None and step is not None and steps:
            fraction = step / steps
        if fraction is not None:
            fraction = min(1.0, max(0.0, fraction))
        note = None if note is None else shortened(note, MAX_LINE_CHARS)
        self._say(frames.Progress(fraction, step, steps, stage, note), fraction)

    def preview(self, image: bytes, *, step: int | None = None) -> None:
        self.check()
        media_type = next((kind for magic, kind in _MAGIC if image.startswith(magic)), None)
        if media_type is None or len(image) > MAX_PREVIEW_BYTES:
            return
        url = f"data:{media_type};base64,{base64.b64encode(image).decode()}"
        self._say(frames.Preview(url, step))

    def log(self, line: str) -> None:
        self._say(frames.Log(shortened(line, MAX_LINE_CHARS)))

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        self._say(frames.Metric(name, value, step))

    def blob(self, data: bytes, media_type: str) -> BlobRef:
        return self._hand_over(data, media_type)

    def segment(self, data: bytes, media_type: str, *, duration_s: float | None = None) -> BlobRef:
        return self._hand_over(data, media_type, shown=True, duration_s=duration_s)

    def _hand_over(
        self,
        data: bytes,
        media_type: str,
        *,
        shown: bool = False,
        duration_s: float | None = None,
    ) -> BlobRef:
        self.check()
        self._made += 1
        self._made_bytes += len(data)
        if self._made_bytes > MAX_MADE_BYTES:
            raise ValueError(f"one job hands over at most {MAX_MADE_BYTES} bytes")
        reference = BlobRef(f"made-{self._request.run}-{self._made}")
        run = self._request.run
        self._send(Made(run, reference.id, media_type, data, shown, duration_s))
        return reference

    def read(self, reference: Mapping[str, str]) -> bytes:
        self.check()
        blob = reference.get("blob")
        if blob is None or blob not in self._request.blobs:
            raise BadInput("blob", f"the input names no blob {blob!r}")
        return self._request.blobs[blob]

    def checkpoint(self, data: bytes, *, step: int) -> None:
        self.check()
        if len(data) > MAX_CHECKPOINT_BYTES:
            raise ValueError(f"a checkpoint has at most {MAX_CHECKPOINT_BYTES} bytes")
        if self._step is not None and step <= self._step:
            raise ValueError(f"checkpoint {step} comes after checkpoint {self._step}: steps grow")
        self._step = step
        self._send(Checkpointed(self._request.run, step, data))

    def resume(self) -> Checkpoint | None:
        left = self._request.left_behind
        return None if left is None else Checkpoint(left.step, left.data)

    def _say(self, frame: frames.Frame, fraction: float | None = None) -> None:
        self.check()
        self._send(
            Said(self._request.run, frames.frame_type(frame), frames.encode_frame(frame), fraction)
        )
