"""How an operator's settings reach an engine: its class, with the settings put in at class level.

An engine that can be set up has a classmethod `configure(options)`. It gets plain text by name and
returns the class to use: itself, a copy made by `configured`, or None where it cannot work without
settings that are not there. What it cannot read it refuses by `Misconfigured`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

from headrace.engines.engine import Engine, EngineError

Options: TypeAlias = Mapping[str, str]
Configure: TypeAlias = Callable[[Options], type[Engine] | None]
E = TypeVar("E")


class Misconfigured(EngineError):
    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"option '{option}' {why}")
        self.option, self.why = option, why


def configured(engine: type[E], **values: Any) -> type[E]:
    """A class like `engine` that has `values` at class level."""
    told = {"__doc__": engine.__doc__, "__module__": engine.__module__}
    return type(engine.__name__, (engine,), told | values)


def only(options: Options, known: Collection[str]) -> None:
    """Refuse an option that nobody would read: it is a slip of the pen."""
    for name in options:
        if name not in known:
            known_names = ", ".join(sorted(known)) or "none"
            raise Misconfigured(name, f"is not one of this engine's options ({known_names})")


def whole_number(options: Options, name: str, default: int, *, least: int = 1) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise Misconfigured(name, f"should be a whole number, at least {least}, not {text!r}")
    return int(text)


def seconds(options: Options, name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise Misconfigured(name, f"should be a number of seconds above 0, not {text!r}")
    return value
