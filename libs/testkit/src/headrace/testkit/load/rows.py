"""What a load run leaves behind: one fact a line, as every process of it saw them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec


class Measured(msgspec.Struct, frozen=True, array_like=True, tag="measured"):
    """It took so long, or went wrong. `at` is when it was over."""

    at: float
    name: str
    ms: float
    error: str = ""


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    at: float
    job: str
    tenant: str


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """Its client saw the end."""

    at: float
    job: str
    state: str


class Gauge(msgspec.Struct, frozen=True, array_like=True, tag="gauge"):
    at: float
    name: str
    value: float


class Happened(msgspec.Struct, frozen=True, array_like=True, tag="happened"):
    """Something that was done to the service, or a new stage of the load."""

    at: float
    what: str


Row: TypeAlias = Measured | Accepted | Ended | Gauge | Happened


def now() -> float:
    """The wall clock: rows may come from several machines."""
    return time.time()


def lines(rows: Iterable[Row]) -> list[str]:
    return [msgspec.json.encode(row).decode() for row in rows]


def read_rows(file: Path) -> list[Row]:
    """In the order of their times. A last line that was cut off is left out."""
    if not file.exists():
        return []
    return sorted(_decoded(file.read_text().split("\n")[:-1]), key=lambda row: row.at)


def _decoded(text: Iterable[str]) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(Row)
    return (decoder.decode(line) for line in text if line)
