"""The judge finds what is broken in ledgers made by hand, and nothing in those of a good run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.testkit.chaos.checker import Bounds, Evidence, judge
from headrace.testkit.chaos.effects import AttemptRow, Effects, Row
from headrace.testkit.chaos.ledger import ClientFacts, Excuse, Execution, Told, Transcript
from headrace.testkit.chaos.nemesis import plan
from headrace.testkit.system import MODES, Mode


def a_row(**fields: Any) -> Row:
    usual: dict[str, Any] = {
        "id": "job",
        "key": "k1",
        "state": "succeeded",
        "epoch": 2,
        "attempt": 1,
        "failures": 0,
        "losses": 0,
        "output": RESULT,
        "held": False,
        "cancel_asked_at": None,
        "finished_at": 10.0,
    }
    return Row(**{**usual, **fields})


RESULT = {"text": "1.0 1.1", "attempt": 1}
END = Told(2, 1, "succeeded", {"result": RESULT})


def a_reset(epoch: int, seq: int, **said: Any) -> Told:
    usual = {"id": "job", "state": "running", "attempt": 1, "output": None}
    return Told(epoch, seq, "reset", {"snapshot": {**usual, **said}})


def frames(*extra: Told) -> list[Told]:
    return [
        Told(0, 1, "queued", {}),
        Told(1, 1, "started", {"attempt": 1}),
        Told(1, 2, "token", {"text": "1.0"}),
        Told(1, 3, "token", {"text": " 1.1"}),
        *extra,
        END,
    ]


@pytest.fixture
def good() -> Evidence:
    clients = ClientFacts(intents={"k1"}, transcripts=[Transcript("job", frames())])
    clients.accepted["k1"].add("job")
    clients.ends["job"].add("succeeded")
    effects = Effects([a_row()], [AttemptRow("job", 1, 1, "succeeded", "w", 1.1, 1.3)], outbox=0)
    return Evidence(clients, [Execution("k1", 1, "run", 7, 1.0, 2.0, "done")], effects)


def broken(evidence: Evidence) -> list[str]:
    return [sentence.partition(":")[0] for sentence in judge(evidence).broken]


def test_a_good_run_is_clean(good: Evidence) -> None:
    assert broken(good) == []


@pytest.mark.parametrize(
    ("row", "rules"),
    [
        ({"state": "running", "output": None}, {"1 lost"}),
        ({"key": "k2"}, {"2 unexpected"}),
        ({"state": "failed"}, {"5 effect", "4 outcome"}),
        ({"output": {"text": "1.0 1.1", "attempt": 2}}, {"5 effect"}),
        ({"held": True}, {"7 quiet"}),
        ({"cancel_asked_at": -5.0}, {"7 cancel"}),
    ],
)
def test_a_row_that_is_wrong_is_found(good: Evidence, row: dict[str, Any], rules: set[str]) -> None:
    good.effects.jobs = [a_row(**row)]

    assert rules <= set(broken(good))


def test_a_job_that_is_gone_is_lost(good: Evidence) -> None:
    good.effects.jobs = []

    assert "1 lost" in broken(good)


@pytest.mark.parametrize(
    ("excuse", "rules"),
    [
        (Excuse(503, "2"), []),
        (Excuse(429, "1"), []),
        (Excuse(503, None), ["13 refusal"]),
        (Excuse(500, None), ["13 refusal"]),
    ],
)
def test_a_refusal_says_when_to_ask_again(good: Evidence, excuse: Excuse, rules: list[str]) -> None:
    good.clients.excuses["k1"].append(excuse)

    assert broken(good) == rules


def test_two_jobs_of_one_key_are_found(good: Evidence) -> None:
    good.effects.jobs.append(a_row(id="twin"))

    assert "4 duplicate" in broken(good)


def test_a_grant_that_ran_twice_is_found_even_where_losses_are_excused(good: Evidence) -> None:
    (run,) = good.executions
    twice = replace(good, executions=[run, run], bounds=Bounds(losses=5))

    assert broken(twice) == ["6 executions"]


def test_a_second_attempt_needs_an_excuse(good: Evidence) -> None:
    (run,) = good.executions
    again = replace(good, executions=[run, replace(run, attempt=2)])

    assert broken(again) == ["6 executions"]
    assert broken(replace(again, bounds=Bounds(losses=1))) == []


@pytest.mark.parametrize(
    "seen",
    [
        [each for each in frames() if (each.epoch, each.seq) != (1, 2)],
        frames(Told(1, 3, "token", {"text": " 1.1"})),
        frames(Told(1, 4, "token", {"text": " 2.0"})),
        frames()[:-1],
        [each for each in frames() if (each.epoch, each.seq) != (1, 3)],
    ],
    ids=["a hole", "a frame twice", "a word of another attempt", "no end", "the tail is missing"],
)
def test_a_stream_that_is_not_whole_is_found(good: Evidence, seen: list[Told]) -> None:
    good.clients.transcripts = [Transcript("job", seen)]

    assert all(rule.startswith("8 stream") for rule in broken(good))
    assert broken(good) != []


def test_a_reset_excuses_a_hole(good: Evidence) -> None:
    whole = frames()
    seen = [*whole[:2], a_reset(1, 2), *whole[3:]]
    good.clients.transcripts = [Transcript("job", seen)]

    assert broken(good) == []


@pytest.mark.parametrize(
    "said",
    [
        {"state": "failed"},
        {"state": "succeeded", "output": {"text": "1.0"}},
        {"output": RESULT},
        {"attempt": 2},
        {"id": "other"},
    ],
    ids=["another end", "another result", "a result too early", "an attempt to come", "another's"],
)
def test_a_reset_that_tells_of_something_else_is_found(
    good: Evidence, said: dict[str, Any]
) -> None:
    whole = frames()
    seen = [*whole[:2], a_reset(1, 2, **said), *whole[3:]]
    good.clients.transcripts = [Transcript("job", seen)]

    assert broken(good) == ["8 stream of job"]


@pytest.mark.parametrize(
    ("before", "after", "rules"),
    [
        ("1.0", " 1.2", []),
        ("1.5", " 1.2", ["8 stream of job"]),
        ("1.0", " 1.5", ["8 stream of job"]),
        ("1.0", " 1.1", ["8 stream of job"]),
    ],
    ids=["whole", "strange before", "strange after", "without the end"],
)
def test_words_around_a_reset_are_pieces_of_the_result(
    good: Evidence, before: str, after: str, rules: list[str]
) -> None:
    output = {**RESULT, "text": "1.0 1.1 1.2"}
    good.effects.jobs = [a_row(output=output)]
    seen = [
        *frames()[:2],
        Told(1, 2, "token", {"text": before}),
        a_reset(1, 3),
        Told(1, 4, "token", {"text": after}),
        Told(2, 1, "succeeded", {"result": output}),
    ]
    good.clients.transcripts = [Transcript("job", seen)]

    assert broken(good) == rules


def test_an_end_with_another_result_is_found(good: Evidence) -> None:
    other = Told(2, 1, "succeeded", {"result": {"text": "1.0"}})
    good.clients.transcripts = [Transcript("job", [*frames()[:-1], other])]

    assert broken(good) == ["8 stream of job"]


def test_a_result_too_large_for_its_row_is_read_from_its_blob(good: Evidence) -> None:
    named = {"output_blob": "blob"}
    good.effects.jobs = [a_row(output=named)]
    seen = [*frames()[:-1], Told(2, 1, "succeeded", {"result": named})]
    good.clients.transcripts = [Transcript("job", seen)]

    good.effects.documents = {"blob": RESULT}
    assert broken(good) == []

    good.effects.documents = {"blob": {**RESULT, "text": "1.0 1.2"}}
    assert broken(good) == ["8 stream of job"]


def test_an_end_told_before_it_was_true_is_found(good: Evidence) -> None:
    good.clients.transcripts[0].early = "running"

    assert broken(good) == ["10 early"]


def test_a_herd_of_retries_is_found(good: Evidence) -> None:
    retry = Told(2, 1, "attempt", {"attempt": 2, "retry_in_s": 5.0})
    seen = Transcript("job", [*frames()[:-1], retry, replace(END, epoch=3)])
    good.clients.transcripts = [seen] * 6

    assert any(rule == "retries" for rule in broken(good))


def test_a_dead_job_has_one_letter_and_no_other_has_any(good: Evidence) -> None:
    good.effects.letters = {1: "job"}
    assert broken(good) == ["7 dead"]

    good.effects.jobs.append(a_row(id="other", key="k2", state="dead", output=None, attempt=0))
    good.clients.intents.add("k2")
    good.clients.accepted["k2"].add("other")
    for count, rules in ((1, []), (0, ["7 dead"]), (2, ["7 dead"])):
        good.effects.letters = dict.fromkeys(range(count), "other")
        assert broken(good) == rules


def test_what_ended_is_what_was_accepted(good: Evidence) -> None:
    good.clients.accepted["k1"].add("another")

    assert "7 sum" in broken(good)


@pytest.mark.parametrize(
    ("run_s", "held_s"),
    [(0.0, 1.3), (0.4, 1.3), (2.0, 1.3)],
    ids=["none", "too little", "too much"],
)
def test_usage_that_is_not_what_ran_is_found(good: Evidence, run_s: float, held_s: float) -> None:
    good.effects.attempts = [AttemptRow("job", 1, 1, "succeeded", "w", run_s, held_s)]

    assert broken(good) == ["9 usage"]


def test_a_success_that_no_engine_came_to_is_found(good: Evidence) -> None:
    (run,) = good.executions

    assert broken(replace(good, executions=[replace(run, ended=None, how=None)])) == ["9 usage"]


def test_a_lost_attempt_is_charged_to_nobody(good: Evidence) -> None:
    (run,) = good.executions
    good.effects.jobs = [a_row(attempt=2, losses=1, output={"text": "1.0 1.1", "attempt": 2})]
    good.effects.attempts = [
        AttemptRow("job", 1, 1, "lost", "w", 0.0, 30.0),
        AttemptRow("job", 2, 3, "succeeded", "w", 1.1, 1.3),
    ]
    good.clients.transcripts = []
    runs = [run, replace(run, attempt=2)]

    assert broken(replace(good, executions=runs, bounds=Bounds(losses=1))) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_makes_the_same_plan_again(mode: Mode) -> None:
    assert plan(7, 60, mode) == plan(7, 60, mode) != plan(8, 60, mode)
