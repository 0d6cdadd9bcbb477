"""What a gang is told, and what it says: a file that each process reads, a FIFO that one of them writes.

All of them hold the FIFO open: when nobody does any more, all are gone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.messages import Part
from headrace.engines.engine import BadInput, BlobRef, Checkpoint

LENGTH: Final = struct.Struct(">I")
MADE: Final = "made"  # what a blob is called until it is handed over


class Orders(msgspec.Struct, frozen=True):
    script: str  # 'package.module:function', called with its `GangWork` in each process
    model: str
    attempt: int
    input: bytes  # JSON
    devices: list[str]
    left_behind: tuple[int, bytes] | None = None
    part: Part | None = None  # of a gang over several workers, the one on this machine


class Said(msgspec.Struct, frozen=True, tag="said"):
    """A call of the job's `Work`."""

    call: str
    by_place: list[Any] = []
    by_name: dict[str, Any] = {}


class Done(msgspec.Struct, frozen=True, tag="done"):
    output: bytes  # JSON; blobs by the names that the gang gave them


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    why: str
    memory: bool = False


Word: TypeAlias = Said | Done | Failed

_words: Final = msgspec.msgpack.Decoder(Word)


def pack(word: Word) -> bytes:
    body = msgspec.msgpack.encode(word)
    return LENGTH.pack(len(body)) + body


def unpack(data: bytearray) -> list[Word]:
    """The words that are whole; takes them from the front."""
    words: list[Word] = []
    while len(data) >= LENGTH.size:
        (length,) = LENGTH.unpack_from(data)
        if len(data) < LENGTH.size + length:
            break
        words.append(_words.decode(bytes(data[LENGTH.size : LENGTH.size + length])))
        del data[: LENGTH.size + length]
    return words


def write_orders(folder: Path, orders: Orders) -> None:
    (folder / "orders").write_bytes(msgspec.msgpack.encode(orders))


def read_orders(folder: Path) -> Orders:
    return msgspec.msgpack.decode((folder / "orders").read_bytes(), type=Orders)


def words_of(folder: Path) -> Path:
    return folder / "words"


class GangWork:
    """`Work` in one process of a gang. One of them speaks; the engine ends all when the job shall end."""

    def __init__(self, orders: Orders, say: Callable[[Word], None]) -> None:
        self.model, self.attempt = orders.model, orders.attempt
        self.input: Any = msgspec.json.decode(orders.input)
        self.devices: Sequence[str] = orders.devices
        self.part = orders.part
        self._left_behind = orders.left_behind
        self._say = say
        self._made = 0

    def check(self) -> None:
        """Whoever is to stop is killed."""

    def token(self, text: str) -> None:
        self._tell("token", text)

    def progress(self, fraction: float | None = None, **named: Any) -> None:
        self._tell("progress", fraction, **named)

    def preview(self, image: bytes, *, step: int | None = None) -> None:
        self._tell("preview", image, step=step)

    def log(self, line: str) -> None:
        self._tell("log", line)

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        self._tell("metric", name, value, step=step)

    def blob(self, data: bytes, media_type: str) -> BlobRef:
        return self._hand_over("blob", data, media_type)

    def segment(self, data: bytes, media_type: str, *, duration_s: float | None = None) -> BlobRef:
        return self._hand_over("segment", data, media_type, duration_s=duration_s)

    def read(self, reference: Mapping[str, str]) -> bytes:
        # As anywhere for a blob that was not fetched: no input of a gang names one.
        raise BadInput("blob", f"the input names no blob {reference.get('blob')!r}")

    def checkpoint(self, data: bytes, *, step: int) -> None:
        self._tell("checkpoint", data, step=step)

    def resume(self) -> Checkpoint | None:
        return None if self._left_behind is None else Checkpoint(*self._left_behind)

    def _hand_over(self, call: str, *by_place: Any, **by_name: Any) -> BlobRef:
        self._made += 1
        self._tell(call, *by_place, **by_name)
        return BlobRef(f"{MADE}-{self._made}")

    def _tell(self, call: str, *by_place: Any, **by_name: Any) -> None:
        self._say(Said(call, list(by_place), by_name))
