"""From the engine's side: a gang is launched, heard, and gone when this is over, however it ends.

Laws:
1. All processes of a gang run, or none: where one ends badly, torchrun ends the others, and this raises.
2. None outlives its job: each dies with the one that started it, up to the engine's own process.
3. What one of them says counts as the engine's own word; where that raises `Stopped`, the gang is killed.
4. Over several workers each launches its own part. The first of all speaks; the others say that they are done.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from headrace.contracts.messages import Part
from headrace.engines.engine import OutOfMemory, TryAgain, Work
from headrace.engines.gang.told import (
    Done,
    Failed,
    Orders,
    Said,
    unpack,
    words_of,
    write_orders,
)

_LOOK_S: Final = 0.1
_GONE_S: Final = 2.0
_CHUNK: Final = 2**20
_CALLS: Final = frozenset(
    {"token", "progress", "preview", "log", "metric", "blob", "segment", "checkpoint"}
)


def run_gang(work: Work[Any], script: str, processes: int) -> dict[str, Any]:
    """What the first process gives; nothing where that is on another worker. Raises TryAgain where one was lost."""
    before = work.resume()
    orders = Orders(
        script=script,
        model=work.model,
        attempt=work.attempt,
        input=msgspec.json.encode(work.input),
        devices=list(work.devices),
        left_behind=None if before is None else (before.step, before.data),
        part=work.part,
    )
    with TemporaryDirectory(prefix="headrace-gang-") as name:
        folder = Path(name)
        write_orders(folder, orders)
        os.mkfifo(words_of(folder), 0o600)
        with _launched(folder, processes, orders) as gang:
            return _Hearing(work).heard(gang)


class _Gang:
    def __init__(self, process: subprocess.Popen[bytes], words: int) -> None:
        self._process, self._words = process, words
        self._held = bytearray()
        self._closed = False

    def words(self) -> Iterator[Said | Done | Failed | None]:
        """None now and then, so that whoever listens can look about. Ends when all are gone."""
        while not self._closed:
            yield None
            yield from self._read(_LOOK_S)
            if self._process.poll() is not None:
                while more := list(self._read(0)):
                    yield from more
                return

    def kill(self) -> None:
        """Returns once all are gone: the kernel kills them with the launcher.

        That nobody holds the FIFO tells it, unless none had come as far as to open it.
        """
        self._process.kill()
        self._process.wait()
        until = time.monotonic() + _GONE_S
        while not self._closed and time.monotonic() < until:
            for _ in self._read(_LOOK_S):
                pass

    def _read(self, within_s: float) -> Iterator[Said | Done | Failed]:
        if self._closed or not select.select([self._words], [], [], within_s)[0]:
            return
        data = os.read(self._words, _CHUNK)
        self._closed = not data
        self._held += data
        yield from unpack(self._held)


@contextmanager
def _launched(folder: Path, processes: int, orders: Orders) -> Iterator[_Gang]:
    words = os.open(words_of(folder), os.O_RDONLY | os.O_NONBLOCK)
    try:
        process = subprocess.Popen(  # noqa: S603  # our own module, with arguments of ours
            [
                *(sys.executable, "-P", "-m", "headrace.engines.gang.launcher"),
                *(str(os.getpid()), str(folder), str(processes), *_place(orders.part)),
            ],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_seeing(orders.devices)},  # noqa: TID251  # handed on, not read
        )
        gang = _Gang(process, words)
        try:
            yield gang
        finally:
            gang.kill()
    finally:
        os.close(words)


def _place(part: Part | None) -> list[str]:
    return [] if part is None else [str(part.rank), str(part.of), part.at]


def _seeing(devices: list[str]) -> dict[str, str]:
    visible = ",".join(device for device in devices if device)
    return {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class _Hearing:
    """What a gang says, said to the job's own `Work`."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self._blobs: list[dict[str, str]] = []

    def heard(self, gang: _Gang) -> dict[str, Any]:
        for word in gang.words():
            match word:
                case None:
                    self._work.check()
                case Said():
                    self._say(word)
                case Failed():
                    raise OutOfMemory(word.why) if word.memory else TryAgain(word.why)
                case Done():
                    output: dict[str, Any] = self._named(msgspec.json.decode(word.output))
                    return output
        raise TryAgain("a process of its gang was lost, and the others ended with it")

    def _say(self, word: Said) -> None:
        if word.call not in _CALLS:
            raise ValueError(f"a gang says {word.call!r}, which is no word of work")
        said = getattr(self._work, word.call)(*word.by_place, **word.by_name)
        if word.call in {"blob", "segment"}:
            self._blobs.append(said.as_output())

    def _named(self, value: Any) -> Any:
        """With its blobs called as the worker calls them."""
        match value:
            case {"blob": str(name), **rest} if not rest:
                return self._blobs[int(name.rpartition("-")[2]) - 1]
            case dict():
                return {key: self._named(each) for key, each in value.items()}
            case list():
                return [self._named(each) for each in value]
            case _:
                return value
