"""Which engines are installed here: found by entry point, refused with a reason, described by a card.

An entry point of the group `headrace.engines` names a lane and the class that serves it. Nothing
here imports what an engine needs; it only looks whether that could be imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from headrace.contracts.ids import Lane
from headrace.contracts.messages import EngineCard
from headrace.engines.engine import BadInput, Engine, EngineError
from headrace.engines.options import Configure, Misconfigured, Options, only
from headrace.engines.refusals import bad_input, unknown_field

GROUP: Final = "headrace.engines"
_DECLARES: Final = ("kind", "models", "Input", "requires", "load", "run")


class NoSuchEngine(EngineError):
    def __init__(self, lane: str, why: str) -> None:
        super().__init__(f"engine '{lane}' {why}")
        self.lane, self.why = lane, why


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be offered here, and why the rest cannot."""

    present: dict[Lane, type[Engine]] = field(default_factory=dict)
    absent: dict[Lane, str] = field(default_factory=dict)


def survey(options: Mapping[str, Options] | None = None) -> Survey:
    """Look at every installed engine; `options` are the operator's settings by lane.

    Raises Misconfigured when an engine refuses its options: that is for the operator to mend.
    """
    found = Survey()
    for entry in _entries():
        lane = Lane(entry.name)
        try:
            found.present[lane] = _open(entry, (options or {}).get(entry.name, {}))
        except NoSuchEngine as absent:
            found.absent[lane] = absent.why
    return found


def available(options: Mapping[str, Options] | None = None) -> dict[Lane, type[Engine]]:
    return survey(options).present


def engine_class(lane: Lane, options: Options | None = None) -> type[Engine]:
    """The class that serves `lane`, set up with `options`; raises NoSuchEngine or Misconfigured."""
    for entry in _entries():
        if entry.name == lane:
            return _open(entry, options or {})
    raise NoSuchEngine(lane, "is not installed")


def missing(engine: type[Engine]) -> list[str]:
    """The modules that `engine` requires and that cannot be imported here."""
    return [module for module in engine.requires if not _importable(module)]


def card(lane: Lane, engine: type[Engine]) -> EngineCard:
    return EngineCard(
        lane=lane,
        kind=engine.kind,
        models=list(engine.models),
        input_schema=input_schema(engine),
        title=(engine.__doc__ or "").strip().partition("\n")[0],
        formats=list(getattr(engine, "formats", ())),
        nodes=getattr(engine, "nodes", 1),
    )


def input_schema(engine: type[Engine]) -> dict[str, Any]:
    """JSON Schema of what `engine` takes: in one piece, and it forbids unknown fields."""
    name = engine.Input.__name__
    _, components = msgspec.json.schema_components([engine.Input], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components[name] | {"additionalProperties": False}
    nested = {key: value for key, value in components.items() if key != name}
    return schema | ({"$defs": nested} if nested else {})


def decode_input(engine: type[Engine], raw: Mapping[str, Any]) -> msgspec.Struct:
    """`raw` as the engine's `Input`; raises BadInput, in words for whoever sent it."""
    known = [item.encode_name for item in msgspec.structs.fields(engine.Input)]
    for name in raw:
        if name not in known:
            raise BadInput(name, unknown_field(known))
    try:
        return msgspec.convert(raw, engine.Input)
    except msgspec.ValidationError as error:
        raise bad_input(error) from error


def _entries() -> Iterator[EntryPoint]:
    """By name; where two packages claim one lane, the first by package name has it."""
    seen: set[str] = set()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _open(entry: EntryPoint, options: Options) -> type[Engine]:
    engine = _import(entry)
    lacks = [name for name in _DECLARES if not hasattr(engine, name)]
    if lacks:
        raise NoSuchEngine(entry.name, f"is no engine: {entry.value} lacks {', '.join(lacks)}")
    gone = missing(engine)
    if gone:
        raise NoSuchEngine(entry.name, f"needs {', '.join(gone)}{_remedy(entry)}")
    return _configure(entry.name, engine, options)


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # a stranger's module may raise anything
        raise NoSuchEngine(entry.name, f"cannot be imported: {error!r}") from error


def _configure(lane: str, engine: type[Engine], options: Options) -> type[Engine]:
    configure: Configure | None = getattr(engine, "configure", None)
    try:
        if configure is None:
            only(options, ())
            return engine
        ready = configure(options)
    except Misconfigured as error:
        raise Misconfigured(f"{lane}.{error.option}", error.why) from error
    if ready is None:
        raise NoSuchEngine(lane, "is not set up")
    return ready


def _remedy(entry: EntryPoint) -> str:
    """What to install: an entry point of ours names the extra that brings the modules."""
    if entry.dist is None or not entry.extras:
        return ""
    return f": pip install '{entry.dist.name}[{','.join(entry.extras)}]'"


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a dotted name
        return False
