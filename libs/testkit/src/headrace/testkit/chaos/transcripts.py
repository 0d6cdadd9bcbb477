"""What is wrong with one watcher's stream, held against the job as the store has it in the end.

Laws:
1. Each frame is the next one, or a reset says before it that something is missing.
2. An unbroken run of words is a piece of what their attempt said, and nobody else's. What an
   attempt says that succeeds is the result, so its last run is the result's end, and without a
   reset it is the whole.
3. A reset's snapshot is the store's: what is over in it ended so, and what is not has no result.
4. The last frame is the job's end, with its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.testkit.chaos.effects import TERMINAL, Effects, Row
from headrace.testkit.chaos.ledger import Told, Transcript


def flaws_of(transcript: Transcript, row: Row | None, effects: Effects) -> Iterator[str]:
    """Sentences; none for a good one."""
    yield from order_flaws(transcript.frames)
    yield from _foreign_words(transcript.frames)
    last = transcript.frames[-1] if transcript.frames else None
    if row is None or last is None or last.type not in TERMINAL:
        yield "it never ended"
        return
    yield from _end_flaws(last, row)
    yield from _snapshot_flaws(transcript.frames, row)
    for won in effects.attempts:
        if (won.job, won.outcome) == (row.id, "succeeded"):
            text = str(effects.result(row).get("text"))
            yield from _text_flaws(transcript.frames, won.epoch, text)


def order_flaws(frames: Sequence[Told]) -> Iterator[str]:
    epoch, seq, excused = 0, 0, False
    for frame in frames:
        if frame.type == "reset":
            epoch, seq, excused = frame.epoch, frame.seq, True
            continue
        follows = (frame.epoch == epoch and frame.seq == seq + 1) or (
            frame.epoch > epoch and frame.seq == 1
        )
        if (frame.epoch, frame.seq) <= (epoch, seq) and not excused:
            yield f"{frame.epoch}-{frame.seq} comes after {epoch}-{seq}"
        elif not follows and not excused:
            yield f"a silent hole between {epoch}-{seq} and {frame.epoch}-{frame.seq}"
        epoch, seq, excused = frame.epoch, frame.seq, False


def _foreign_words(frames: Sequence[Told]) -> Iterator[str]:
    attempts = {each.epoch: str(each.body["attempt"]) for each in frames if each.type == "started"}
    for epoch, texts in _runs(frames).items():
        words = " ".join(texts).split()
        own = attempts.get(epoch)
        if foreign := [word for word in words if own not in {None, word.split(".")[0]}]:
            yield f"epoch {epoch} has words of another attempt: {foreign[:3]}"


def _end_flaws(last: Told, row: Row) -> Iterator[str]:
    if last.type != row.state:
        yield f"it ended as {last.type}, and the job is {row.state}"
    elif last.type == "succeeded" and last.body.get("result") != row.output:
        yield f"its end tells of {last.body.get('result')!r}, and the result is {row.output!r}"


def _snapshot_flaws(frames: Sequence[Told], row: Row) -> Iterator[str]:
    for frame in frames:
        if frame.type != "reset":
            continue
        said = frame.body["snapshot"]
        over = said["state"] in TERMINAL
        true = (row.id, row.state, row.output) if over else (row.id, said["state"], None)
        if (said["id"], said["state"], said["output"]) != true or said["attempt"] > row.attempt:
            yield f"the reset at {frame.epoch}-{frame.seq} tells of {said!r}, and the job is {row!r}"


def _text_flaws(frames: Sequence[Told], epoch: int, text: str) -> Iterator[str]:
    """Of the attempt that succeeded in this epoch with this text."""
    said = _runs(frames).get(epoch, [""])
    result = f"and the result is {_brief(text)}"
    if strange := [run for run in said if run not in text]:
        yield f"it says {_brief(strange[0])}, {result}"
    elif not text.endswith(said[-1]):
        yield f"its last words are {_brief(said[-1])}, {result}"
    elif said != [text] and not any(frame.type == "reset" for frame in frames):
        yield f"its words are {_brief(said)}, {result}"


def _runs(frames: Sequence[Told]) -> dict[int, list[str]]:
    """By epoch, what its tokens say from one reset to the next."""
    runs: dict[int, list[str]] = {}
    for frame in frames:
        if frame.type == "reset":
            for said in runs.values():
                said.append("")
        elif frame.type == "token":
            runs.setdefault(frame.epoch, [""])[-1] += frame.body["text"]
    return runs


def _brief(what: Any) -> str:
    said = repr(what)
    return said if len(said) <= 200 else f"{said[:100]} ... {said[-100:]}"
