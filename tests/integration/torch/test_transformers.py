"""Text by transformers: the real library on a tiny model, which writes nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.frames import Metric, Progress, Token
from headrace.engines.engine import BadInput, OutOfMemory, Stopped
from headrace.engines.text.transformers import TransformersEngine
from headrace.engines.torch_device import NoSuchDevice
from headrace.testkit.work import RecordedWork, sent, work_for


@pytest.fixture(scope="module")
def engine(text_folder: Path) -> TransformersEngine:
    loaded = made(f"tiny={text_folder}")
    loaded.load("tiny")
    return loaded


def made(models: str, **options: str) -> TransformersEngine:
    configured: Any = TransformersEngine.configure({"models": models, **options})
    engine: TransformersEngine = configured()
    return engine


def asked(engine: TransformersEngine, *, stop_after: int | None = None, **given: Any) -> Any:
    usual = {"prompt": "the river", "max_tokens": 24, "seed": 1, "temperature": 1.0}
    return work_for(type(engine), {**usual, **given}, stop_after=stop_after)


def long(engine: TransformersEngine, **given: Any) -> RecordedWork:
    """With a seed that the model goes on with for long."""
    for seed in range(40):
        work: RecordedWork = asked(engine, seed=seed, **given)
        if engine.run(work)["usage"]["completion_tokens"] >= 24:
            return work
    raise AssertionError("it always ends early")


def test_tokens_come_one_by_one_and_make_the_text(engine: TransformersEngine) -> None:
    work = long(engine)

    output = sent(engine.run(again(engine, work)))

    assert output["text"] == work.text
    assert len(work.said(Token)) > 10
    assert output["finish_reason"] == "length"
    assert output["usage"] == {
        "prompt_tokens": output["usage"]["prompt_tokens"],
        "completion_tokens": 24,
    }
    assert work.said(Progress)[-1].fraction == 1.0
    assert [each.name for each in work.said(Metric)] == ["tokens_per_s"]


def again(engine: TransformersEngine, work: RecordedWork, **given: Any) -> Any:
    return asked(engine, seed=work.input.seed, **given)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(
    engine: TransformersEngine,
) -> None:
    texts = [engine.run(asked(engine, seed=seed))["text"] for seed in (7, 8, 7)]

    assert texts[0] == texts[2]
    assert texts[0] != texts[1]


def test_at_temperature_nothing_chance_has_no_say(engine: TransformersEngine) -> None:
    texts = {engine.run(asked(engine, seed=seed, temperature=0))["text"] for seed in range(3)}

    assert len(texts) == 1


def test_it_stops_before_a_stop_string_and_says_so(engine: TransformersEngine) -> None:
    whole = long(engine)
    stop = whole.text[8:11]

    output = engine.run(again(engine, whole, stop=[stop]))

    assert output["text"] == whole.text[: whole.text.index(stop)]
    assert output["finish_reason"] == "stop"
    assert output["usage"]["completion_tokens"] < 24


def test_it_stops_within_a_token_when_it_is_told_to(engine: TransformersEngine) -> None:
    whole = long(engine)
    work = again(engine, whole, stop_after=5)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.frames) == 5


def test_a_conversation_is_written_as_the_model_was_taught(engine: TransformersEngine) -> None:
    said = [{"role": "user", "content": "the mill"}, {"role": "assistant", "content": "a river"}]
    once = engine.run(asked(engine, prompt=None, messages=said[:1]))
    twice = engine.run(asked(engine, prompt=None, messages=[*said, said[0]]))

    assert once["usage"]["prompt_tokens"] < twice["usage"]["prompt_tokens"]


def test_a_raw_prompt_is_gone_on_from_without_a_template(engine: TransformersEngine) -> None:
    raw = engine.run(asked(engine, raw=True))
    told = engine.run(asked(engine))

    assert raw["usage"]["prompt_tokens"] < told["usage"]["prompt_tokens"]


def test_a_frequency_penalty_makes_it_repeat_itself_less(engine: TransformersEngine) -> None:
    def variety(penalty: float) -> int:
        work = asked(engine, temperature=0, frequency_penalty=penalty, raw=True)
        engine.run(work)
        return len({token.text for token in work.said(Token)})

    assert variety(2.0) > variety(-2.0)


def test_a_prompt_longer_than_its_window_is_the_callers_mistake(
    engine: TransformersEngine,
) -> None:
    with pytest.raises(BadInput, match=r"prompt: has \d+ tokens; this model reads 256"):
        engine.run(asked(engine, prompt="river " * 300))


def test_an_answer_ends_where_the_window_does(engine: TransformersEngine) -> None:
    output = engine.run(asked(engine, prompt="river " * 100, max_tokens=None))

    used = output["usage"]
    assert used["prompt_tokens"] + used["completion_tokens"] <= 256


def test_a_form_that_it_cannot_keep_to_is_refused(engine: TransformersEngine) -> None:
    with pytest.raises(BadInput, match="response_format"):
        engine.run(asked(engine, response_format={"type": "json_object"}))


def test_a_gpu_that_is_not_there_is_missed_when_the_model_is_loaded(text_folder: Path) -> None:
    import torch

    with pytest.raises(NoSuchDevice, match="device=cuda:63"):
        made(f"tiny={text_folder}", device="cuda:63").load("tiny")
    assert torch.get_num_threads() == 1


def test_out_of_memory_is_said_so_and_the_next_job_is_written(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    work = asked(engine)
    monkeypatch.setattr(work, "check", lambda: torch.empty(2**60))  # more than any machine has

    with pytest.raises(OutOfMemory, match="can't allocate memory"):
        engine.run(work)

    assert engine.run(asked(engine))["text"]
