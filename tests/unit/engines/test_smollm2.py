"""SmolLM2 on llama.cpp: the real model, loaded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.frames import Metric, Progress, Token
from headrace.contracts.ids import Lane
from headrace.engines.engine import BadInput, Stopped
from headrace.engines.registry import decode_input, engine_class, missing
from headrace.engines.text.smollm2 import SmolLm2Engine
from headrace.testkit.work import RecordedWork, sent, work_for

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="session")
def engine() -> SmolLm2Engine:
    assert missing(SmolLm2Engine) == []
    loaded = SmolLm2Engine()
    loaded.load("smollm2-135m-instruct")
    return loaded


def asked(*, stop_after: int | None = None, **given: Any) -> RecordedWork:
    return work_for(SmolLm2Engine, {"max_tokens": 24, "seed": 1, **given}, stop_after=stop_after)


def test_it_knows_the_capital_of_france(engine: SmolLm2Engine) -> None:
    output = sent(engine.run(asked(prompt=QUESTION, temperature=0)))

    assert "Paris" in output["text"]
    assert output["finish_reason"] == "stop"


def test_tokens_come_one_by_one_and_make_the_text(engine: SmolLm2Engine) -> None:
    work = asked(prompt="Tell me a story about a river.", temperature=0)

    output = engine.run(work)

    assert work.text == output["text"]
    assert len(work.said(Token)) >= 20
    assert output["usage"]["completion_tokens"] <= 24
    assert output["usage"]["prompt_tokens"] > 5


def test_it_shows_reading_then_writing_and_ends_at_one(engine: SmolLm2Engine) -> None:
    work = asked(prompt="river " * 300)

    output = engine.run(work)

    reading = [frame for frame in work.said(Progress) if frame.stage == "reading"]
    assert [frame.step for frame in reading][:3] == [0, 128, 256]
    assert reading[-1].step == reading[-1].steps == output["usage"]["prompt_tokens"]
    assert work.said(Progress)[-1].fraction == 1.0
    assert work.said(Metric) == [Metric("tokens_per_s", output["tokens_per_s"])]


def test_the_same_seed_gives_the_same_text_and_another_seed_another(engine: SmolLm2Engine) -> None:
    story: dict[str, Any] = {"prompt": "Tell me a story about a river.", "temperature": 1.0}

    first = engine.run(asked(**story, seed=7))
    engine.run(asked(prompt=QUESTION))  # what came between does not matter
    again = engine.run(asked(**story, seed=7))
    other = engine.run(asked(**story, seed=8))

    assert first["text"] == again["text"]
    assert first["seed"] == 7
    assert other["text"] != first["text"]


def test_a_seed_it_chose_itself_can_be_used_again(engine: SmolLm2Engine) -> None:
    story: dict[str, Any] = {"prompt": "Tell me a story about a river.", "temperature": 1.0}

    first = engine.run(asked(**story, seed=None))
    again = engine.run(asked(**story, seed=first["seed"]))

    assert again["text"] == first["text"]


def test_it_ends_at_max_tokens(engine: SmolLm2Engine) -> None:
    output = engine.run(asked(prompt="Tell me a long story.", max_tokens=3))

    assert output["finish_reason"] == "length"
    assert output["usage"]["completion_tokens"] == 3


def test_it_ends_before_a_stop_word(engine: SmolLm2Engine) -> None:
    output = engine.run(asked(prompt=QUESTION, temperature=0, stop=["Paris"]))

    assert output["finish_reason"] == "stop"
    assert "Paris" not in output["text"]


def test_a_conversation_is_remembered(engine: SmolLm2Engine) -> None:
    talk = [
        {"role": "user", "content": "Say the word banana."},
        {"role": "assistant", "content": "banana"},
        {"role": "user", "content": "Say it again."},
    ]

    output = engine.run(asked(messages=talk, temperature=0))

    assert "banana" in output["text"].lower()


def test_it_stops_within_a_token(engine: SmolLm2Engine) -> None:
    work = asked(prompt="Tell me a long story.", max_tokens=2048, stop_after=6)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.frames) == 6
    assert "Paris" in engine.run(asked(prompt=QUESTION, temperature=0))["text"]  # and is well after


def test_it_stops_while_it_reads(engine: SmolLm2Engine) -> None:
    work = asked(prompt="river " * 3000, stop_after=2)

    with pytest.raises(Stopped):
        engine.run(work)

    assert [frame.step for frame in work.said(Progress)] == [0, 128]


def test_a_prompt_that_does_not_fit_is_the_callers_mistake(engine: SmolLm2Engine) -> None:
    with pytest.raises(BadInput, match=r"prompt: has \d+ tokens; this model reads 4096"):
        engine.run(asked(prompt="river " * 5000))


def test_it_listens_on_no_port(engine: SmolLm2Engine) -> None:
    sockets = Path("/proc/self/fd")
    if not sockets.exists():
        pytest.skip("needs /proc")
    ours = {link.readlink().name for link in sockets.iterdir() if link.is_symlink()}
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}

    assert ours & listening == set()


@pytest.mark.parametrize(
    ("raw", "field", "why"),
    [
        ({}, "prompt", "is missing: give a prompt, or messages"),
        (
            {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
            "messages",
            "cannot be given with a prompt: give one of the two",
        ),
        (
            {"system": "a", "messages": [{"role": "system", "content": "b"}]},
            "system",
            "cannot be given where messages have one of their own",
        ),
        ({"prompt": "a", "max_tokens": 2049}, "max_tokens", "should be at most 2048"),
        (
            {"messages": [{"role": "user", "content": "b"}], "raw": True},
            "raw",
            "is for a prompt, not for messages",
        ),
        (
            {"prompt": "a", "raw": True, "system": "b"},
            "raw",
            "goes with no system message and no response_format",
        ),
        (
            {"prompt": "a", "response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "should have a schema",
        ),
        (
            {"messages": [{"role": "tool", "content": "b"}]},
            "messages[0].role",
            "cannot be 'tool'",
        ),
        ({"prompt": "a", "temperature": 3}, "temperature", "should be at most 2"),
        ({"prompt": "a", "top_p": 0}, "top_p", "should be more than 0"),
        ({"prompt": "a", "stop": [""]}, "stop[0]", "should have at least 1 character"),
    ],
)
def test_bad_input_is_refused(raw: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(BadInput) as refused:
        decode_input(SmolLm2Engine, raw)

    assert (refused.value.field, refused.value.why) == (field, why)


def test_threads_are_an_option() -> None:
    assert vars(engine_class(Lane("smollm2"), {"threads": "2"}))["threads"] == 2


def test_a_raw_prompt_is_gone_on_from(engine: SmolLm2Engine) -> None:
    work = asked(prompt="One, two, three, four,", raw=True, temperature=0, max_tokens=4)

    output = engine.run(work)

    assert output["text"].startswith(" five")
    assert output["text"] == work.text
    assert output["usage"] == {"prompt_tokens": 8, "completion_tokens": 4}


def test_an_answer_keeps_to_a_schema(engine: SmolLm2Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}

    output = engine.run(asked(prompt=QUESTION, response_format=wanted, temperature=0))

    assert json.loads(output["text"]) == {"city": "Paris"}


def test_a_schema_that_nobody_can_keep_to_is_the_callers_mistake(engine: SmolLm2Engine) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "wat"}}}

    with pytest.raises(BadInput, match="response_format: cannot be kept to"):
        engine.run(asked(prompt=QUESTION, response_format=wanted))


def test_without_a_limit_it_writes_until_it_is_done(engine: SmolLm2Engine) -> None:
    output = engine.run(asked(prompt=QUESTION, temperature=0, max_tokens=None))

    assert output["finish_reason"] == "stop"
