"""The registry: what is installed is found, what cannot run is reported, what is sent is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from headrace.contracts.ids import Lane
from headrace.engines.echo.engine import EchoEngine
from headrace.engines.engine import BadInput
from headrace.engines.options import Misconfigured
from headrace.engines.registry import (
    NoSuchEngine,
    available,
    card,
    decode_input,
    engine_class,
    missing,
    survey,
)
from headrace.testkit.packages import install

ENGINE = """
class Engine:
    '''A stranger.

    With more to say.
    '''
    kind, models, requires = "odd", ("one",), {requires}
    class Input(__import__("msgspec").Struct):
        pass
    def load(self, model): pass
    def run(self, work): return {{}}
    {more}
"""
CONFIGURE = """
    @classmethod
    def configure(cls, options):
        from headrace.engines.options import configured, only, whole_number
        only(options, ("size",))
        return configured(cls, size=whole_number(options, "size", 1)) if options else None
"""
ODD = Lane("odd")


class Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str


class SampleInput(msgspec.Struct):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=9)]
    steps: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    messages: Annotated[list[Message], msgspec.Meta(max_length=1)] = []

    def __post_init__(self) -> None:
        if self.prompt == "clash":
            raise BadInput("prompt", "clashes")


class SampleEngine:
    kind: ClassVar[str] = "sample"
    models: ClassVar[Sequence[str]] = ("sample",)
    Input: ClassVar[type[msgspec.Struct]] = SampleInput
    requires: ClassVar[Sequence[str]] = ("msgspec", "no_such_module", "no_such.module")

    def load(self, model: str) -> None: ...

    def run(self, work: Any) -> dict[str, Any]:
        return {}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package whose module `odd_engine` serves the lane `odd`."""

    def odd(source: str, entry: str = "odd_engine:Engine") -> None:
        pyproject = (
            '[project]\nname = "odd"\nversion = "1"\n'
            f'[project.entry-points."headrace.engines"]\nodd = "{entry}"\n'
        )
        files = {"odd_engine.py": source, "pyproject.toml": pyproject}
        install(tmp_path, files, monkeypatch)

    return odd


def test_our_own_engines_are_found_by_their_lane() -> None:
    assert available()[Lane("echo")] is EchoEngine
    assert engine_class(Lane("echo")) is EchoEngine


def test_a_strangers_engine_is_found_and_described(odd: Callable[..., None]) -> None:
    odd(ENGINE.format(requires=(), more=""))

    described = card(ODD, available()[ODD])

    assert (described.lane, described.kind, described.models) == ("odd", "odd", ["one"])
    assert described.title == "A stranger."


@pytest.mark.parametrize(
    ("source", "entry", "why"),
    [
        (
            ENGINE.format(requires=("no_such_module",), more=""),
            "odd_engine:Engine",
            "needs no_such",
        ),
        ("Engine = 3", "odd_engine:Engine", "is no engine: odd_engine:Engine lacks kind, models"),
        ("raise OSError('boom')", "odd_engine:Engine", "cannot be imported: OSError('boom')"),
        ("", "odd_engine:Engine", "cannot be imported: AttributeError"),
        (ENGINE.format(requires=(), more=CONFIGURE), "odd_engine:Engine", "is not set up"),
    ],
)
def test_what_cannot_run_here_is_absent_with_the_reason(
    odd: Callable[..., None], source: str, entry: str, why: str
) -> None:
    odd(source, entry)

    found = survey()

    assert ODD not in found.present
    assert found.absent[ODD].startswith(why)
    with pytest.raises(NoSuchEngine, match="engine 'odd'"):
        engine_class(ODD)


def test_where_an_extra_is_named_the_remedy_is_told(odd: Callable[..., None]) -> None:
    odd(ENGINE.format(requires=("no_such_module",), more=""), "odd_engine:Engine [gpu]")

    assert survey().absent[ODD] == "needs no_such_module: pip install 'odd[gpu]'"


def test_an_engine_nobody_installed_is_named() -> None:
    with pytest.raises(NoSuchEngine, match="engine 'ghost' is not installed"):
        engine_class(Lane("ghost"))


def test_options_reach_the_class(odd: Callable[..., None]) -> None:
    odd(ENGINE.format(requires=(), more=CONFIGURE))

    engine = available({"odd": {"size": "3"}})[ODD]

    assert vars(engine)["size"] == 3
    assert card(ODD, engine).title == "A stranger."


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"odd": {"size": "big"}}, "option 'odd.size' should be a whole number, at least 1"),
        ({"odd": {"sise": "3"}}, r"option 'odd.sise' is not one of this engine's options \(size\)"),
        ({"echo": {"size": "3"}}, r"option 'echo.size' is not one of .* \(none\)"),
    ],
)
def test_options_that_cannot_be_right_are_refused(
    odd: Callable[..., None], options: dict[str, dict[str, str]], why: str
) -> None:
    odd(ENGINE.format(requires=(), more=CONFIGURE))

    with pytest.raises(Misconfigured, match=why):
        survey(options)


def test_missing_names_only_what_cannot_be_imported() -> None:
    assert missing(SampleEngine) == ["no_such_module", "no_such.module"]


def test_the_schema_is_in_one_piece_and_forbids_unknown_fields() -> None:
    schema = card(Lane("sample"), SampleEngine).input_schema

    assert schema["additionalProperties"] is False
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["messages"]["items"] == {"$ref": "#/$defs/Message"}
    assert schema["$defs"]["Message"]["additionalProperties"] is False


def test_input_is_decoded_with_its_defaults() -> None:
    assert decode_input(SampleEngine, {"prompt": "hello"}) == SampleInput("hello", 1, [])


@pytest.mark.parametrize(
    ("raw", "field", "why"),
    [
        ({}, "prompt", "is missing"),
        ({"prompt": "a", "hue": 1}, "hue", "is not known here; known are prompt, steps, messages"),
        ({"prompt": 3}, "prompt", "should be text, not a whole number"),
        ({"prompt": ""}, "prompt", "should have at least 1 character"),
        ({"prompt": "a" * 10}, "prompt", "should have at most 9 characters"),
        ({"prompt": "a", "steps": "3"}, "steps", "should be a whole number, not text"),
        ({"prompt": "a", "steps": 1.5}, "steps", "should be a whole number, not a number"),
        ({"prompt": "a", "steps": 10}, "steps", "should be at most 9"),
        ({"prompt": "a", "messages": None}, "messages", "should be a list, not nothing"),
        ({"prompt": "a", "messages": [{}]}, "messages[0].role", "is missing"),
        (
            {"prompt": "a", "messages": [{"role": 1}]},
            "messages[0].role",
            "should be text, not a whole number",
        ),
        (
            {"prompt": "a", "messages": [{"role": "u", "x": 1}]},
            "messages[0].x",
            "is not known here",
        ),
        ({"prompt": "a", "messages": [{}, {}]}, "messages", "should have at most 1 item"),
        ({"prompt": "clash"}, "prompt", "clashes"),
    ],
)
def test_bad_input_names_the_field_and_says_why(raw: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(BadInput) as refused:
        decode_input(SampleEngine, raw)

    assert (refused.value.field, refused.value.why) == (field, why)


def test_a_value_outside_a_set_is_named() -> None:
    with pytest.raises(BadInput, match="fail: cannot be 'loudly'"):
        decode_input(EchoEngine, {"text": "a", "fail": "loudly"})
