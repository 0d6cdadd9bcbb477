"""A run of a pipeline: its record, and the pure planner that says what begins next and how it ends.

Laws:
1. A piece begins only when every stage that its stage takes from is over, and each piece has one job at
   a time: the planner names a piece once, and never one that has a job.
2. What it decides depends on the record alone, not on the order in which jobs ended.
3. A run in which nothing runs is over, or the planner begins something: no run waits for ever.
4. A stage that fails takes the run with it (`fail`), or only those that need what it would have given
   (`go_on`). A piece that the run itself stopped has not failed: it may begin again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, assert_never

import msgspec

from headrace.contracts.ids import JobId, KeyId, RunId, TenantId
from headrace.contracts.messages import MAX_INLINE_BYTES
from headrace.core.job import State
from headrace.core.pipeline import MOST_PIECES, Fixed, Given, Item, Of, Source, Stage


class RunState(StrEnum):
    RUNNING = "running"
    FAILING = "failing"  # a stage failed: what still runs is being stopped
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
_ENDS_AS: Final = {
    RunState.FAILING: RunState.FAILED,
    RunState.CANCELLING: RunState.CANCELLED,
}


class PieceState(StrEnum):
    RUNNING = "running"  # it has a job that has not ended, which may well wait for a worker
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    STOPPED = "stopped"  # by its run, which was ending; or set back to begin again


_WRONG: Final = frozenset({PieceState.FAILED, PieceState.CANCELLED, PieceState.DEAD})


class StageState(StrEnum):
    WAITING = "waiting"  # for what it takes
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # what it needs will never come


_DONE: Final = frozenset({StageState.SUCCEEDED, StageState.FAILED, StageState.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One job's worth of a stage, by its index in the fan-out; a stage without one has piece 0."""

    stage: str
    index: int
    state: PieceState
    tries: int = 1
    job: JobId | None = None  # the latest; None: its input could not be made
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    started_at: datetime | None = None  # set by the store, as is the next
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    id: RunId
    tenant: TenantId
    pipeline: str
    stages: tuple[Stage, ...]  # as they were when it began, with model and lane; work may be added
    input: dict[str, Any]
    path: str
    state: RunState = RunState.RUNNING
    error: dict[str, Any] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    api_key: KeyId | None = None
    trace: str | None = None  # one for all its jobs
    deadline_s: float | None = None  # for all of it, anew when it goes on after it was over
    deadline_at: datetime | None = None
    created_at: datetime | None = None  # set by the store, as is the next
    finished_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.state in OVER

    def going(self, now: datetime) -> Run:
        """Its time begins."""
        if self.deadline_s is None:
            return self
        return replace(self, deadline_at=now + timedelta(seconds=self.deadline_s))


@dataclass(frozen=True, slots=True)
class Start:
    """A piece to begin. With `why` it cannot, and has failed; with `output` it needs no job, and is done."""

    stage: Stage
    index: int
    tries: int
    input: dict[str, Any]
    why: str | None = None
    output: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        return self.why is not None or self.output is not None


@dataclass(frozen=True, slots=True)
class Decision:
    state: RunState
    starts: Sequence[Start] = ()
    error: dict[str, Any] | None = None


def decide(run: Run, pieces: Sequence[Piece]) -> Decision:
    """What begins now, and the state that the run is in then."""
    if run.over:
        return Decision(run.state, error=run.error)
    busy = any(piece.state is PieceState.RUNNING for piece in pieces)
    if run.state is not RunState.RUNNING:
        return Decision(run.state if busy else _ENDS_AS[run.state], error=run.error)
    view = View(run, pieces)
    for stage in run.stages:
        if stage.on_failure == "fail" and view.states[stage.name] is StageState.FAILED:
            state = RunState.FAILING if busy else RunState.FAILED
            return Decision(state, error=view.error(stage))
    starts = [start for stage in run.stages for start in view.starts(stage)]
    over = not busy and not starts
    return Decision(RunState.SUCCEEDED if over else RunState.RUNNING, starts)


def expired(run: Run) -> Run:
    """It took too long: nothing more begins, and what runs is to be stopped."""
    why = f"it was not over within {run.deadline_s:g} s"
    return replace(run, state=RunState.FAILING, error={"kind": "deadline", "message": why})


def ended(piece: Piece, state: State, *, run: Run) -> PieceState:
    """What a piece is when its job has ended so."""
    match state:
        case State.SUCCEEDED:
            return PieceState.SUCCEEDED
        case State.CANCELLED:
            stopped = run.state in _ENDS_AS
            return PieceState.STOPPED if stopped else PieceState.CANCELLED
        case State.FAILED:
            return PieceState.FAILED
        case State.DEAD:
            return PieceState.DEAD
        case State.SCHEDULED | State.QUEUED | State.RUNNING | State.CANCELLING:
            return piece.state
        case _:
            assert_never(state)


def set_back(run: Run, pieces: Sequence[Piece], stage: str) -> list[Piece]:
    """The pieces that begin again when a stage is retried; none: nothing of it went wrong.

    They are its own that did not succeed, and all that were made of what it gave.
    """
    own = [piece for piece in pieces if piece.stage == stage and piece.state in _WRONG]
    behind: set[str] = {stage}
    for _ in run.stages:
        behind |= {each.name for each in run.stages if each.after() & behind}
    others = [piece for piece in pieces if piece.stage in behind - {stage}] if own else []
    return [replace(piece, state=PieceState.STOPPED) for piece in [*own, *others]]


class View:
    """A run and its pieces, looked at by stage."""

    def __init__(self, run: Run, pieces: Sequence[Piece]) -> None:
        self._run = run
        self._stages = {stage.name: stage for stage in run.stages}
        self._pieces: dict[str, dict[int, Piece]] = {name: {} for name in self._stages}
        for piece in pieces:
            self._pieces[piece.stage][piece.index] = piece

    def pieces(self, stage: Stage) -> list[Piece]:
        return [piece for _, piece in sorted(self._pieces[stage.name].items())]

    @cached_property
    def states(self) -> dict[str, StageState]:
        found: dict[str, StageState] = {}
        left = list(self._run.stages)
        while left:
            ready = [stage for stage in left if stage.after() <= found.keys()]
            if not ready:
                raise ValueError(f"the stages of run {self._run.id} wait for each other")
            for stage in ready:
                found[stage.name] = self._state(stage, found)
            left = [stage for stage in left if stage.name not in found]
        return found

    def starts(self, stage: Stage) -> list[Start]:
        if self.states[stage.name] in _DONE or not all(
            self.states[name] in _DONE for name in stage.after()
        ):
            return []
        have = self._pieces[stage.name]
        try:
            items = self._items(stage)
        except _NotThere as error:
            if not _is_open(stage, before := have.get(0)):
                return []
            return [Start(stage, 0, 1 if before is None else before.tries + 1, {}, str(error))]
        return [
            self._start(stage, index, item, have.get(index))
            for index, item in enumerate(items)
            if _may_begin(stage, have.get(index))
        ]

    def error(self, stage: Stage) -> dict[str, Any]:
        wrong = next(piece for piece in self.pieces(stage) if piece.state in _WRONG)
        said = wrong.error or {"kind": wrong.state.value, "message": f"its job is {wrong.state}"}
        return {**said, "stage": stage.name, "index": wrong.index}

    def progress(self, jobs: Mapping[JobId, float | None]) -> float:
        """Of the run, from 0 to 1; `jobs` says how far those are that run."""
        done = sum(stage.weight * self.progress_of(stage, jobs) for stage in self._run.stages)
        return done / sum(stage.weight for stage in self._run.stages)

    def progress_of(self, stage: Stage, jobs: Mapping[JobId, float | None]) -> float:
        if (state := self.states[stage.name]) is StageState.WAITING:
            return 0.0
        if state in _DONE:
            return 1.0
        have = self._pieces[stage.name].values()
        parts = [_part(piece, jobs) for piece in have]
        return sum(parts) / len(parts) if parts else 0.0

    def _state(self, stage: Stage, others: Mapping[str, StageState]) -> StageState:
        before = {name: others[name] for name in stage.after()}
        if not all(state in _DONE for state in before.values()):
            return StageState.WAITING
        gone = {name for name, state in before.items() if state is not StageState.SUCCEEDED}
        if stage.made_by in gone or any(_needs(source) in gone for source in stage.sources()):
            return StageState.SKIPPED
        have = self._pieces[stage.name]
        try:
            wanted = len(self._items(stage))
        except _NotThere:
            return StageState.RUNNING if _is_open(stage, have.get(0)) else StageState.FAILED
        if stage.on_failure == "fail" and any(_is_lost(stage, piece) for piece in have.values()):
            return StageState.FAILED  # whatever becomes of its other pieces
        if any(_is_open(stage, have.get(index)) for index in range(wanted)):
            return StageState.RUNNING
        good = sum(piece.state is PieceState.SUCCEEDED for piece in have.values())
        enough = good > 0 or wanted == 0 if stage.on_failure == "go_on" else good == wanted
        return StageState.SUCCEEDED if enough else StageState.FAILED

    def _items(self, stage: Stage) -> Sequence[Any]:
        """Raises _NotThere."""
        if stage.each is None:
            return [None]
        items = self._value(stage.each, None)
        if not isinstance(items, list):
            raise _NotThere("what it fans out over is no list")
        if len(items) > MOST_PIECES:
            raise _NotThere(f"it fans out over {len(items)}; {MOST_PIECES} are the most")
        return items

    def _start(self, stage: Stage, index: int, item: Any, before: Piece | None) -> Start:
        tries = 1 if before is None else before.tries + 1
        given: dict[str, Any] = {}
        try:
            for name, source in stage.input.items():
                if not self._is_left_out(source):
                    given[name] = self._value(source, item)
        except _NotThere as error:
            return Start(stage, index, tries, {}, str(error))
        if len(msgspec.json.encode(given)) > MAX_INLINE_BYTES:
            why = f"its input has more than {MAX_INLINE_BYTES} bytes; pass blobs instead"
            return Start(stage, index, tries, {}, why)
        return Start(stage, index, tries, given)

    def _is_left_out(self, source: Source) -> bool:
        match source:
            case Given():
                return source.name not in self._run.input
            case Of():
                given = self.states[source.stage] is StageState.SUCCEEDED
                return source.optional and not given
            case _:
                return False

    def _value(self, source: Source, item: Any) -> Any:
        match source:
            case Fixed():
                return source.value
            case Item():
                return item
            case Given():
                return self._run.input.get(source.name, [])  # only a fan-out comes here without
            case Of():
                return self._given_by(self._stages[source.stage], source.field)

    def _given_by(self, stage: Stage, name: str) -> Any:
        outputs = [
            piece.output or {}
            for piece in self.pieces(stage)
            if piece.state is PieceState.SUCCEEDED
        ]
        if not all(name in output for output in outputs):
            raise _NotThere(
                f"{stage.name} gave no {name}, or too much to be passed on in a message"
            )
        found = [output[name] for output in outputs]
        if stage.each is not None:
            return found
        if not found:  # an optional list that never came: a fan-out over nothing
            return []
        return found[0]


def _part(piece: Piece, jobs: Mapping[JobId, float | None]) -> float:
    if piece.state is PieceState.RUNNING:
        return jobs.get(piece.job, 0.0) or 0.0 if piece.job is not None else 0.0
    return 0.0 if piece.state is PieceState.STOPPED else 1.0


class _NotThere(Exception):
    """What a stage takes cannot be had, though the stage that gives it succeeded."""


def _needs(source: Source) -> str | None:
    return source.stage if isinstance(source, Of) and not source.optional else None


def _may_begin(stage: Stage, piece: Piece | None) -> bool:
    if piece is None or piece.state is PieceState.STOPPED:
        return True
    again = piece.state in {PieceState.FAILED, PieceState.DEAD} and piece.job is not None
    return again and piece.tries < stage.tries


def _is_lost(stage: Stage, piece: Piece) -> bool:
    return piece.state in _WRONG and not _may_begin(stage, piece)


def _is_open(stage: Stage, piece: Piece | None) -> bool:
    return _may_begin(stage, piece) or (piece is not None and piece.state is PieceState.RUNNING)
