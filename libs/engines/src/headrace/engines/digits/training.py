"""The loop that both trainings share: epochs as frames, a checkpoint after each, an early stop, an artefact.

Laws:
1. What the next epoch depends on is in the checkpoint, to the bit: weights, the optimiser's state and the
   generator's. So a training that was killed ends with the numbers of one that was not, on the same
   machine and libraries.
2. An attempt's stream is whole: who resumes first says the curves of the epochs before.
3. What serves is the epoch with the least validation loss, not the last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol

import msgspec

from headrace.engines.digits.arrays import Arrays, Unreadable, pack, unpack
from headrace.engines.digits.data import Split, described
from headrace.engines.engine import Checkpoint, Work


class TrainingInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    data: Literal["digits"] = "digits"
    epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 40
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=512)] = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.001
    validation: Annotated[float, msgspec.Meta(ge=0.05, le=0.5)] = 0.2
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    # Epochs without a better validation loss, after which it stops; None: it never does.
    patience: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class Learner(Protocol):
    """A model that learns, an epoch at a time."""

    def learn(self) -> float:
        """Once over all that it learns from; answers its mean loss there."""

    def judge(self) -> tuple[float, float]:
        """Loss and accuracy on what was held out."""

    def weights(self) -> Arrays:
        """What serves; copies."""

    def state(self) -> Arrays:
        """All that the next epoch depends on."""

    def restore(self, state: Arrays) -> None: ...


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One epoch."""

    loss: float
    val_loss: float
    val_accuracy: float


class Course(msgspec.Struct):
    """How it went so far."""

    asked: dict[str, Any]
    rows: list[Row] = []

    @property
    def best(self) -> int:
        """The epoch, counted from 1, with the least validation loss; the first of equals."""
        return min(range(len(self.rows)), key=lambda nth: self.rows[nth].val_loss) + 1

    def over(self, asked: TrainingInput) -> bool:
        done = len(self.rows)
        return done >= asked.epochs or self.stopped_early(asked)

    def stopped_early(self, asked: TrainingInput) -> bool:
        done = len(self.rows)
        return asked.patience is not None and done > 0 and done - self.best >= asked.patience


def train(
    work: Work[Any],
    learner: Learner,
    data: Split,
    *,
    format_: str,
    artefact: Callable[[Arrays, dict[str, Any]], bytes],
) -> dict[str, Any]:
    """The output of the training: `model`, as it is registered, and how it went."""
    asked: TrainingInput = work.input
    course, best = _begin(work, learner)
    while not course.over(asked):
        course.rows.append(Row(learner.learn(), *learner.judge()))
        epoch = len(course.rows)
        if course.best == epoch:
            best = learner.weights()
        _tell(work, course, epoch)
        work.checkpoint(_written(course, learner, best), step=epoch)
    row = course.rows[course.best - 1]
    metrics = {**msgspec.structs.asdict(row), "epoch": course.best}
    packed = artefact(best, course.asked)
    return {
        "model": {
            "artefact": work.blob(packed, "application/octet-stream").as_output(),
            "format": format_,
            "sha256": hashlib.sha256(packed).hexdigest(),
            "bytes": len(packed),
            "metrics": metrics,
            "parameters": course.asked,
            "data": described(data),
        },
        "epochs": len(course.rows),
        "stopped_early": course.stopped_early(asked) and len(course.rows) < asked.epochs,
    }


def _begin(work: Work[Any], learner: Learner) -> tuple[Course, Arrays]:
    fresh = Course(msgspec.json.decode(msgspec.json.encode(work.input)))
    before = work.resume()
    if before is None:
        return fresh, {}
    try:
        course, state, best = _read(before, fresh.asked)
    except Unreadable as error:
        work.log(f"Begins at the beginning: {error}")
        return fresh, {}
    learner.restore(state)
    work.log(f"Goes on from epoch {before.step}")
    for epoch in range(1, len(course.rows) + 1):
        _tell(work, course, epoch)
    return course, best


def _tell(work: Work[Any], course: Course, epoch: int) -> None:
    row = course.rows[epoch - 1]
    for name in Row.__struct_fields__:
        work.metric(name, getattr(row, name), step=epoch)
    work.log(
        f"Epoch {epoch}: loss {row.loss:.4f}, held out {row.val_loss:.4f},"
        f" {row.val_accuracy:.1%} right"
    )
    work.progress(step=epoch, steps=work.input.epochs, stage="training")


_STATE, _BEST = "state.", "best."


def _written(course: Course, learner: Learner, best: Arrays) -> bytes:
    state = {_STATE + name: array for name, array in learner.state().items()}
    return pack(state | {_BEST + name: array for name, array in best.items()}, course)


def _read(before: Checkpoint, asked: dict[str, Any]) -> tuple[Course, Arrays, Arrays]:
    """Raises Unreadable."""
    arrays, about = unpack(before.data)
    try:
        course = msgspec.json.decode(about, type=Course)
    except msgspec.DecodeError as error:
        raise Unreadable(f"its checkpoint is of another build: {error}") from error
    if course.asked != asked or len(course.rows) != before.step:
        raise Unreadable("its checkpoint is of another training")
    return course, _named(arrays, _STATE), _named(arrays, _BEST)


def _named(arrays: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
