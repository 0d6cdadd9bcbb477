"""A pipeline: stages that feed each other, declared in Python and checked before anybody runs it.

Laws:
1. A stage takes what other stages say that they give, or what the run is given; there is no cycle.
2. What goes into a stage has the shape that it takes. A stage that fans out gives others a list.
3. What a run needs of its pipeline is in the run's own row: who changes or removes the declaration
   changes no run that has begun.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

import msgspec

from headrace.contracts.messages import Artefact
from headrace.core.errors import BadModel, BadPipeline, InvalidInput
from headrace.core.models import TRAINING, check_name

PROMOTION: Final = (
    "promotion"  # the kind of a stage that no engine does: it changes a model's route
)
JUDGED: Final = (
    "value",
    "least",
)  # what a promotion takes: only what is at least so good is routed
MOST_STAGES: Final = 32
MOST_PIECES: Final = 64  # of one stage that fans out
MOST_TRIES: Final = 10
LONGEST_DEADLINE_S: Final = 2_592_000.0  # thirty days
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Plain(StrEnum):
    """What a value is, as far as a pipeline looks."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    BLOB = "blob"  # {"blob": id}: a picture, a recording, any bytes
    OBJECT = "object"
    ANY = "any"


class Many(msgspec.Struct, frozen=True):
    """A list of them."""

    of: Shape


Shape: TypeAlias = Plain | Many


class Given(msgspec.Struct, frozen=True, tag="given"):
    """What the run is given under this name. Left out where the run may be without, and is."""

    name: str


class Of(msgspec.Struct, frozen=True, tag="of"):
    """A field of what another stage gives. `optional`: goes on without where that stage gave nothing."""

    stage: str
    field: str
    optional: bool = False


class Item(msgspec.Struct, frozen=True, tag="item"):
    """The one that this piece of a fan-out is for."""


class Fixed(msgspec.Struct, frozen=True, tag="fixed"):
    """Always the same."""

    value: Any


Source: TypeAlias = Given | Of | Item | Fixed


class Made(msgspec.Struct, frozen=True, tag="made"):
    """The version that another stage's training has registered."""

    stage: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work. With `each` it is done once for every item of a list, as jobs of their own."""

    name: str
    kind: str
    input: dict[str, Source]
    gives: dict[str, Shape]
    each: Given | Of | None = None
    # An engine's own, or a registered one: `NAME` as its route says when the run begins, or `NAME@N`.
    model: str | Made | None = None  # None: the kind's default
    artefact: Artefact | None = None  # of the version that a run was given; no declaration has one
    register_as: str | None = None  # the model that what it trains is a version of
    lane: str | None = None  # None: that of whichever engine serves the kind and model
    tries: int = 1  # jobs for one piece; each has the installation's attempts
    timeout_s: float = 3600.0  # of one attempt
    start_within_s: float | None = None  # from when its inputs are there; later is a failure
    weight: float = 1.0  # in the progress of the run
    on_failure: Literal["fail", "go_on"] = "fail"  # what becomes of the run

    def sources(self) -> Iterator[Source]:
        yield from self.input.values()
        if self.each is not None:
            yield self.each

    @property
    def made_by(self) -> str | None:
        """The stage whose training makes its model; None: its model is there before the run is."""
        return self.model.stage if isinstance(self.model, Made) else None

    def after(self) -> set[str]:
        """The stages that must be over before this one begins."""
        after = {source.stage for source in self.sources() if isinstance(source, Of)}
        return after if self.made_by is None else after | {self.made_by}


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    takes: dict[str, Shape]
    optional: tuple[str, ...] = ()  # of what it takes: what a run may be without
    stages: tuple[Stage, ...]
    deadline_s: float | None = None  # of a whole run, unless it says another; None: it has none

    @property
    def changes_models(self) -> bool:
        """Whether running it registers versions or changes routes, which takes a scope of its own."""
        return any(each.register_as or each.kind == PROMOTION for each in self.stages)


def check_pipeline(pipeline: Pipeline) -> None:
    """Raises BadPipeline, which names the stage."""
    check = _Check(pipeline.name, {stage.name: stage for stage in pipeline.stages}, pipeline.takes)
    check.names(pipeline)
    check.deadline(pipeline.deadline_s)
    for stage in pipeline.stages:
        check.bounds(stage)
        check.models(stage)
        check.sources(stage)
    if (within := cycle(pipeline.stages)) is not None:
        check.refuse(within[0], f"waits for itself: {' -> '.join([*within, within[0]])}")


def cycle(stages: Sequence[Stage]) -> list[str] | None:
    """Names that wait for each other in a ring; None: there is no such ring."""
    left = {stage.name: stage.after() for stage in stages}
    while free := [name for name, after in left.items() if not after & left.keys()]:
        for name in free:
            del left[name]
    if not left:
        return None
    walked = [next(iter(left))]
    while (ahead := min(left[walked[-1]] & left.keys())) not in walked:
        walked.append(ahead)
    return walked[walked.index(ahead) :]


def fits(given: Shape, wanted: Shape) -> bool:
    match given, wanted:
        case (Many(), Many()):
            return fits(given.of, wanted.of)
        case (Plain.ANY, _) | (_, Plain.ANY):
            return True
        case (Plain.BLOB, Plain.OBJECT):
            return True
        case _:
            return given == wanted


def check_given(pipeline: Pipeline, given: Mapping[str, Any]) -> None:
    """Does a run's input fit? Raises InvalidInput."""
    for name in given:
        if name not in pipeline.takes:
            raise InvalidInput(f"/{name}", f"{pipeline.name} takes {_listed(pipeline.takes)}")
    for name, shape in pipeline.takes.items():
        if name in given:
            if not _is(given[name], shape):
                raise InvalidInput(f"/{name}", f"should be {said(shape)}")
        elif name not in pipeline.optional:
            raise InvalidInput(f"/{name}", "is missing")


def said(shape: Shape) -> str:
    return f"a list of {said(shape.of)}" if isinstance(shape, Many) else f"{shape}"


def _is(value: Any, shape: Shape) -> bool:
    if isinstance(shape, Many):
        return isinstance(value, list) and all(_is(each, shape.of) for each in value)
    return _TESTS[shape](value)


def _is_blob(value: Any) -> bool:
    return isinstance(value, dict) and [*value] == ["blob"] and isinstance(value["blob"], str)


_TESTS: Final[Mapping[Plain, Callable[[Any], bool]]] = {
    Plain.TEXT: lambda value: isinstance(value, str),
    Plain.NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    Plain.FLAG: lambda value: isinstance(value, bool),
    Plain.BLOB: _is_blob,
    Plain.OBJECT: lambda value: isinstance(value, dict),
    Plain.ANY: lambda _: True,
}


class _Check:
    def __init__(self, name: str, stages: Mapping[str, Stage], takes: Mapping[str, Shape]) -> None:
        self._name, self._stages, self._takes = name, stages, takes

    def refuse(self, stage: str | None, why: str) -> None:
        raise BadPipeline(self._name, stage, why)

    def names(self, pipeline: Pipeline) -> None:
        if not _NAME.fullmatch(pipeline.name):
            self.refuse(None, f"its name does not match {_NAME.pattern}")
        if not 1 <= len(pipeline.stages) <= MOST_STAGES:
            self.refuse(None, f"has {len(pipeline.stages)} stages; 1 to {MOST_STAGES} are allowed")
        for name in pipeline.optional:
            if name not in pipeline.takes:
                self.refuse(None, f"says that {name} is optional, which it does not take")
        seen: set[str] = set()
        for stage in pipeline.stages:
            if not _NAME.fullmatch(stage.name):
                self.refuse(stage.name, f"its name does not match {_NAME.pattern}")
            if stage.name in seen:
                self.refuse(stage.name, "is there twice")
            seen.add(stage.name)

    def deadline(self, within: float | None) -> None:
        if within is not None and not 0 < within <= LONGEST_DEADLINE_S:
            self.refuse(
                None, f"its deadline_s should be above 0, and {LONGEST_DEADLINE_S:.0f} at most"
            )

    def bounds(self, stage: Stage) -> None:
        if not 1 <= stage.tries <= MOST_TRIES:
            self.refuse(stage.name, f"its tries should be 1 to {MOST_TRIES}")
        for name in ("timeout_s", "start_within_s", "weight"):
            value = getattr(stage, name)
            if value is not None and not 0 < value < float("inf"):
                self.refuse(stage.name, f"its {name} should be above 0")

    def models(self, stage: Stage) -> None:
        if stage.artefact is not None:
            self.refuse(stage.name, "names an artefact; it names a registered model")
        if stage.register_as is not None:
            self._registering(stage, stage.register_as)
        if isinstance(stage.model, Made):
            self._made(stage, stage.model)
        if stage.kind == PROMOTION:
            self._promotion(stage)

    def _registering(self, stage: Stage, name: str) -> None:
        if stage.kind != TRAINING:
            self.refuse(stage.name, f"registers a model, and only kind {TRAINING!r} makes one")
        try:
            check_name(name)
        except BadModel as error:
            self.refuse(stage.name, f"its register_as: {error}")

    def _made(self, stage: Stage, model: Made) -> None:
        other = self._stages.get(model.stage)
        if other is None:
            known = _listed(self._stages)
            self.refuse(stage.name, f"its model is of {model.stage}, which is no stage: {known}")
        elif other.register_as is None or other.each is not None:
            why = "fans out" if other.register_as is not None else "registers no model"
            self.refuse(stage.name, f"its model is of {other.name}, which {why}")

    def _promotion(self, stage: Stage) -> None:
        if stage.made_by is None or stage.each is not None or stage.lane is not None:
            why = "is a promotion: it has a model of Made(...), and neither each nor a lane"
            self.refuse(stage.name, why)
        if stage.input and stage.input.keys() != set(JUDGED):
            self.refuse(stage.name, f"is a promotion: it takes {' and '.join(JUDGED)}, or nothing")
        for name in stage.input:
            shape = self.shape(stage, stage.input[name])
            if not fits(shape, Plain.NUMBER):
                self.refuse(stage.name, f"its {name} should be number, and is given {said(shape)}")

    def sources(self, stage: Stage) -> None:
        for name, source in stage.input.items():
            if isinstance(source, Item) and stage.each is None:
                self.refuse(stage.name, f"takes an item as its {name}, and fans out over nothing")
            self.shape(stage, source)
        if stage.each is not None:
            over = self.shape(stage, stage.each)
            if not fits(over, Many(Plain.ANY)):
                self.refuse(stage.name, f"fans out over {said(over)}, which is no list")

    def shape(self, stage: Stage, source: Source) -> Shape:
        try:
            return shape_of(source, stage, self._stages, self._takes)
        except LookupError as error:
            self.refuse(stage.name, str(error.args[0]))
            raise


def shape_of(
    source: Source, stage: Stage, stages: Mapping[str, Stage], takes: Mapping[str, Shape]
) -> Shape:
    """Of what a stage gets. Raises LookupError, in words, where nobody gives that."""
    match source:
        case Fixed():
            return _shape_of_value(source.value)
        case Item():
            over = Plain.ANY if stage.each is None else shape_of(stage.each, stage, stages, takes)
            return over.of if isinstance(over, Many) else Plain.ANY
        case Given():
            if source.name not in takes:
                raise LookupError(f"takes {source.name}, which no run is given: {_listed(takes)}")
            return takes[source.name]
        case Of():
            if (other := stages.get(source.stage)) is None:
                raise LookupError(
                    f"takes from {source.stage}, which is no stage: {_listed(stages)}"
                )
            if source.field not in other.gives:
                gives = _listed(other.gives)
                raise LookupError(f"takes {source.field} of {other.name}, which gives {gives}")
            shape = other.gives[source.field]
            return shape if other.each is None else Many(shape)


def _shape_of_value(value: Any) -> Shape:
    plain = (Plain.FLAG, Plain.NUMBER, Plain.TEXT, Plain.BLOB, Plain.OBJECT)
    return next((shape for shape in plain if _is(value, shape)), Plain.ANY)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "nothing"
