"""What a watcher knows of a job after each frame: one pure function, no clock, no terminal.

Laws: a frame at or before the cursor changes nothing; `attempt` or `started` of a new epoch forgets
what the epochs before it showed; `reset` replaces everything by its snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, assert_never

from headrace.contracts import frames
from headrace.contracts.frames import Frame
from headrace.contracts.ids import START, Position

State: TypeAlias = Literal[
    "scheduled", "queued", "running", "cancelling", "succeeded", "failed", "cancelled", "dead"
]
ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "dead"})
LINES: Final = 200  # of an engine's log; a watcher needs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    cursor: Position = START
    state: State = "queued"
    ahead: int | None = None  # jobs before it in its lane
    attempt: int = 0
    worker: str | None = None
    restarts: int = 0  # how often what was shown had to be forgotten
    why_again: str | None = None
    retry_in_s: float | None = None

    text: str = ""
    tokens: int = 0
    fraction: float | None = None
    step: int | None = None
    steps: int | None = None
    stage: str | None = None
    note: str | None = None
    preview: str | None = None  # a data: URL
    lines: tuple[str, ...] = ()
    line_count: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)

    result: Any = None
    error: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def see(view: View, position: Position, frame: Frame) -> View:
    if position <= view.cursor:
        return view
    moved = replace(view, cursor=position)
    if _begins_anew(view, position, frame):
        moved = _forget(moved)
    return _told(moved, frame)


def _begins_anew(view: View, position: Position, frame: Frame) -> bool:
    fresh = position.epoch > view.cursor.epoch and view.cursor.epoch > 0
    return fresh and isinstance(frame, frames.Attempt | frames.Started)


def _forget(view: View) -> View:
    shown = bool(view.text or view.preview or view.lines or view.fraction is not None)
    return View(
        cursor=view.cursor,
        attempt=view.attempt,
        restarts=view.restarts + shown,
        why_again=view.why_again,
        retry_in_s=view.retry_in_s,
    )


def _told(view: View, frame: Frame) -> View:  # noqa: C901, PLR0911, PLR0912  # one flat case a type
    match frame:
        case frames.Queued():
            return replace(view, state="queued", ahead=frame.position)
        case frames.Started():
            return replace(
                view,
                state="running",
                worker=frame.worker,
                attempt=frame.attempt,
                ahead=None,
                retry_in_s=None,
            )
        case frames.Attempt():
            return replace(
                view, state="queued", why_again=frame.reason, retry_in_s=frame.retry_in_s
            )
        case frames.Progress():
            return _progress(view, frame)
        case frames.Token():
            return replace(view, text=view.text + frame.text, tokens=view.tokens + 1)
        case frames.Preview():
            return replace(view, preview=frame.image, step=frame.step or view.step)
        case frames.Segment():
            return view  # no terminal plays it; the result names it again
        case frames.Log():
            lines = (*view.lines, frame.line)[-LINES:]
            return replace(view, lines=lines, line_count=view.line_count + 1)
        case frames.Metric():
            return replace(view, metrics={**view.metrics, frame.name: frame.value})
        case frames.Reset():
            return _from_snapshot(view, frame.snapshot)
        case frames.Cancelling():
            return replace(view, state="cancelling")
        case frames.Succeeded():
            return replace(view, state="succeeded", result=frame.result)
        case frames.Failed():
            return replace(view, state="failed", error=frame.error)
        case frames.Cancelled():
            return replace(view, state="cancelled")
        case frames.Dead():
            return replace(view, state="dead", error=frame.error)
        case _:
            assert_never(frame)


def _progress(view: View, frame: frames.Progress) -> View:
    """A new stage counts its own steps; within one, what a frame leaves out stays as it was."""
    same = frame.stage == view.stage
    return replace(
        view,
        fraction=frame.fraction if frame.fraction is not None or not same else view.fraction,
        step=frame.step if frame.step is not None or not same else view.step,
        steps=frame.steps if frame.steps is not None or not same else view.steps,
        stage=frame.stage,
        note=frame.note if frame.note is not None or not same else view.note,
    )


def _from_snapshot(view: View, snapshot: Mapping[str, Any]) -> View:
    fresh = _forget(view)
    return replace(
        fresh,
        state=snapshot.get("state", "queued"),
        attempt=snapshot.get("attempt", 0),
        fraction=snapshot.get("progress"),
        result=snapshot.get("output"),
        error=snapshot.get("error"),
    )
