"""What an engine is, and what it may say while it works.

An engine is a plain class. It runs in a child process of its own, one job at a time, and blocks as
it pleases; `work` carries what it says to the people who watch. See docs/engines.md for a complete
example in twenty lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from headrace.contracts.messages import Part

Given_co = TypeVar("Given_co", bound=msgspec.Struct, covariant=True)


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob that the engine made; put `ref.as_output()` into the output and the worker stores it."""

    id: str

    def as_output(self) -> dict[str, str]:
        return {"blob": self.id}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an attempt left behind, for the next one to go on from."""

    step: int
    data: bytes


class Work(Protocol[Given_co]):
    """One attempt at one job, as its engine sees it.

    Everything that says something also checks: it raises `Stopped` once the job was cancelled or
    its worker is told to let go, so that an engine that talks stops by itself.
    """

    @property
    def model(self) -> str: ...

    @property
    def attempt(self) -> int:
        """1 for the first try of this job, 2 for the second."""

    @property
    def input(self) -> Given_co:
        """Decoded and validated against the engine's `Input`."""

    @property
    def devices(self) -> Sequence[str]:
        """Of a gang, one for each of its processes, as CUDA calls them; empty names: it has CPUs."""

    @property
    def part(self) -> Part | None:
        """Of a gang over several workers, which part this one is; None: it runs here alone."""

    def check(self) -> None:
        """Raise `Stopped` if this work should end. Call it in every loop that says nothing."""

    def token(self, text: str) -> None: ...

    def progress(
        self,
        fraction: float | None = None,
        *,
        step: int | None = None,
        steps: int | None = None,
        stage: str | None = None,
        note: str | None = None,
    ) -> None: ...

    def preview(self, image: bytes, *, step: int | None = None) -> None:
        """Show a picture on the way (PNG, JPEG or WebP; over 36,000 bytes it is not shown)."""

    def log(self, line: str) -> None: ...

    def metric(self, name: str, value: float, *, step: int | None = None) -> None: ...

    def blob(self, data: bytes, media_type: str) -> BlobRef:
        """Hand over bytes that belong to the result."""

    def segment(self, data: bytes, media_type: str, *, duration_s: float | None = None) -> BlobRef:
        """The same, of a piece that can be played already: it is kept now, and shown to who watches."""

    def read(self, reference: Mapping[str, str]) -> bytes:
        """The bytes of an input of the form `{"blob": id}`; fetched before the engine starts."""

    def checkpoint(self, data: bytes, *, step: int) -> None:
        """Leave behind what a next attempt needs to go on from here; the latest counts.

        Steps grow. Raises ValueError where they do not, or on more than 32 MiB.
        """

    def resume(self) -> Checkpoint | None:
        """What an attempt before this one left behind; None: begin at the beginning."""


class Engine(Protocol):
    """Declared at class level, so that it can be announced without importing what it needs."""

    kind: ClassVar[str]
    models: ClassVar[Sequence[str]]  # the first is the default
    Input: ClassVar[type[msgspec.Struct]]
    requires: ClassVar[Sequence[str]]  # importable modules; where one is missing it is not offered

    def load(self, model: str) -> None:
        """Make `model` ready and keep it warm. Called in the child, before the first `run` of it."""

    def run(self, work: Work[Any]) -> dict[str, Any]:
        """Do the job; returns its output: JSON values and blob references.

        Raises BadInput, TryAgain, OutOfMemory, or anything else (which counts as a failure that
        may be tried again). Lets `Stopped` pass.
        """


class Serves(Protocol):
    """What an engine has beside that, which serves models from artefacts: bytes that were registered.

    One that can let go of a model keeps several loaded, as many as its lane's memory allows.
    """

    formats: ClassVar[Sequence[str]]  # of the artefacts that it can load

    def load_artefact(self, model: str, path: Path) -> None:
        """As `load`, from a file whose bytes were checked. It may be gone once this has returned."""

    def unload(self, model: str) -> None:
        """Let go of it and of its memory. Not called while it runs."""


class Stopped(BaseException):
    """The job shall end now. Not an Exception, so that a broad `except` cannot keep it alive."""


class EngineError(Exception):
    """The root of what an engine says on purpose."""


class BadInput(EngineError):
    """The caller's mistake: never tried again."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


class TryAgain(EngineError):
    """A passing trouble (an upstream that is busy): tried again later."""


class OutOfMemory(EngineError):
    """Too large for here and now: tried again elsewhere or later."""
