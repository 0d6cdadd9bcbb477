"""The planner: whatever the graph and whoever ends first, each piece begins once and after its inputs."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.core.job import State
from headrace.core.pipeline import (
    MOST_PIECES,
    Given,
    Item,
    Many,
    Of,
    Pipeline,
    Plain,
    Shape,
    Stage,
    check_pipeline,
)
from headrace.core.run import (
    Decision,
    Piece,
    PieceState,
    Run,
    RunState,
    StageState,
    Start,
    View,
    decide,
    ended,
    set_back,
)

TAKES: dict[str, Shape] = {"items": Many(Plain.NUMBER)}


def a_stage(name: str, **fields: Any) -> Stage:
    usual: dict[str, Any] = {"kind": "echo", "input": {}, "gives": {"out": Plain.ANY}}
    return Stage(**{"name": name, **usual, **fields})


def a_run(*stages: Stage, **fields: Any) -> Run:
    usual: dict[str, Any] = {
        "id": RunId("run"),
        "tenant": TenantId("tenant"),
        "pipeline": "test",
        "input": {"items": [1, 2, 3]},
        "path": "local",
    }
    return Run(**{**usual, "stages": stages, **fields})


class Play:
    """A run that is played: what the planner says is done, and jobs end as the test has it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.pieces: dict[tuple[str, int], Piece] = {}
        self.begun: list[Start] = []
        self.step()

    def step(self) -> Decision:
        while True:
            decision = decide(self.run, list(self.pieces.values()))
            for start in decision.starts:
                self._begin(start)
            if all(start.why is None for start in decision.starts):
                break
        self.run = replace(self.run, state=decision.state, error=decision.error)
        return decision

    def _begin(self, start: Start) -> None:
        key = (start.stage.name, start.index)
        before = self.pieces.get(key)
        assert before is None or before.state is not PieceState.RUNNING
        assert start.tries == (1 if before is None else before.tries + 1)
        states = View(self.run, list(self.pieces.values())).states
        assert all(states[name] not in _OPEN for name in start.stage.after())
        state = PieceState.RUNNING if start.why is None else PieceState.FAILED
        job = JobId(f"{key}") if start.why is None else None
        self.pieces[key] = Piece(
            stage=key[0], index=key[1], state=state, tries=start.tries, job=job
        )
        self.begun.append(start)

    def running(self) -> list[tuple[str, int]]:
        return sorted(key for key, it in self.pieces.items() if it.state is PieceState.RUNNING)

    def end(self, key: tuple[str, int], state: State = State.SUCCEEDED, output: Any = None) -> None:
        piece = self.pieces[key]
        given = {"out": f"{key[0]}/{key[1]}"} if output is None else output
        self.pieces[key] = replace(
            piece,
            state=ended(piece, state, run=self.run),
            output=given if state is State.SUCCEEDED else None,
            error=None if state is State.SUCCEEDED else {"kind": "internal", "message": "broke"},
        )
        self.step()

    def states(self) -> dict[str, StageState]:
        return View(self.run, list(self.pieces.values())).states


_OPEN = {StageState.WAITING, StageState.RUNNING}


@st.composite
def graphs(draw: st.DrawFn) -> Run:
    """Any graph without a ring, declared in any order, with fan-outs, joins and optional branches."""
    stages: list[Stage] = []
    for number in range(draw(st.integers(1, 7))):
        before = (
            draw(st.lists(st.sampled_from(stages), unique_by=lambda s: s.name)) if stages else []
        )
        takes: dict[str, Any] = {
            other.name: Of(other.name, "out", optional=draw(st.booleans())) for other in before
        }
        lists = [Of(other.name, "out") for other in before if other.each is not None]
        each = draw(st.sampled_from([None, None, Given("items"), *lists]))
        stages.append(
            a_stage(
                f"s{number}",
                input=takes | ({"item": Item()} if each is not None else {}),
                each=each,
                tries=draw(st.integers(1, 3)),
                on_failure=draw(st.sampled_from(["fail", "go_on"])),
            )
        )
    items = draw(st.lists(st.integers(), max_size=3))
    return a_run(*draw(st.permutations(stages)), input={"items": items})


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.2, 0.6]))
def test_every_run_ends_and_begins_each_piece_after_its_inputs(
    run: Run, random: Random, trouble: float
) -> None:
    check_pipeline(Pipeline(name="any", title="", takes=TAKES, stages=run.stages))
    play = Play(run)

    while keys := play.running():
        bad = random.random() < trouble
        wrong = random.choice([State.FAILED, State.DEAD, State.CANCELLED])
        play.end(random.choice(keys), wrong if bad else State.SUCCEEDED)

    assert play.run.over
    tried = [(start.stage.name, start.index, start.tries) for start in play.begun]
    assert len(tried) == len(set(tried))
    if play.run.state is RunState.SUCCEEDED:
        assert not _OPEN & set(play.states().values())
        assert trouble > 0 or set(play.states().values()) == {StageState.SUCCEEDED}
    else:
        assert play.run.error is not None


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_who_ends_first_changes_nothing_about_what_is_made(
    run: Run, one: Random, other: Random
) -> None:
    plays = Play(run), Play(run)
    for play, random in zip(plays, (one, other), strict=True):
        while keys := play.running():
            play.end(random.choice(keys))

    made = [{(s.stage.name, s.index): s.input for s in play.begun} for play in plays]
    assert made[0] == made[1]


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.integers(0, 9))
def test_a_run_that_was_cancelled_begins_nothing_more_and_ends(
    run: Run, random: Random, after: int
) -> None:
    play = Play(run)
    for _ in range(after):
        if keys := play.running():
            play.end(random.choice(keys))
    begun = len(play.begun)
    if not play.run.over:
        play.run = replace(play.run, state=RunState.CANCELLING)
        play.step()
        while keys := play.running():
            play.end(random.choice(keys), random.choice([State.CANCELLED, State.SUCCEEDED]))
        assert play.run.state is RunState.CANCELLED

    assert len(play.begun) == begun


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_a_failed_stage_retried_alone_ends_the_run_well_and_keeps_the_rest(
    run: Run, random: Random
) -> None:
    strict = [Stage(**{**_fields(stage), "on_failure": "fail", "tries": 1}) for stage in run.stages]
    play = Play(replace(run, stages=tuple(strict)))
    failed: str | None = None
    while keys := play.running():
        key = random.choice(keys)
        bad = failed is None and random.random() < 0.3
        failed = key[0] if bad else failed
        stop = play.run.state is RunState.FAILING
        play.end(key, State.FAILED if bad else State.CANCELLED if stop else State.SUCCEEDED)
    good = {k for k, piece in play.pieces.items() if piece.state is PieceState.SUCCEEDED}
    begun = len(play.begun)

    if failed is not None:
        for piece in set_back(play.run, list(play.pieces.values()), failed):
            play.pieces[piece.stage, piece.index] = piece
        play.run = replace(play.run, state=RunState.RUNNING, error=None)
        play.step()
        while keys := play.running():
            play.end(random.choice(keys))

    assert play.run.state is RunState.SUCCEEDED
    assert not good & {(start.stage.name, start.index) for start in play.begun[begun:]}


def _fields(stage: Stage) -> dict[str, Any]:
    return {name: getattr(stage, name) for name in stage.__struct_fields__}


def test_a_fan_out_makes_a_piece_for_each_item_and_a_join_gets_them_in_order() -> None:
    fan = a_stage("fan", each=Given("items"), input={"n": Item()})
    play = Play(a_run(fan, a_stage("join", input={"all": Of("fan", "out")})))

    assert [start.input for start in play.begun] == [{"n": 1}, {"n": 2}, {"n": 3}]
    for index in (2, 0, 1):
        play.end(("fan", index))
    assert play.begun[-1].input == {"all": ["fan/0", "fan/1", "fan/2"]}


def test_a_fan_out_over_nothing_is_done_at_once() -> None:
    fan = a_stage("fan", each=Given("items"), input={"n": Item()})
    play = Play(a_run(fan, a_stage("join", input={"all": Of("fan", "out")}), input={"items": []}))

    assert [start.input for start in play.begun] == [{"all": []}]


def test_a_fan_out_over_too_many_fails_and_says_how_many_are_the_most() -> None:
    fan = a_stage("fan", each=Given("items"))
    play = Play(a_run(fan, input={"items": [0] * (MOST_PIECES + 1)}))

    assert play.run.state is RunState.FAILED
    assert f"{MOST_PIECES} are the most" in (play.begun[0].why or "")


def test_a_stage_that_gives_less_than_it_says_fails_the_stage_that_needs_it() -> None:
    play = Play(a_run(a_stage("a"), a_stage("b", input={"x": Of("a", "out")})))

    play.end(("a", 0), output={"other": 1})

    assert play.run.state is RunState.FAILED
    assert play.run.error is not None
    assert play.run.error["stage"] == "b"


def test_a_branch_that_may_fail_is_gone_on_without() -> None:
    play = Play(
        a_run(
            a_stage("maybe", on_failure="go_on"),
            a_stage("needs", input={"x": Of("maybe", "out")}),
            a_stage("can-do-without", input={"x": Of("maybe", "out", optional=True)}),
        )
    )

    play.end(("maybe", 0), State.DEAD)
    assert play.begun[-1].input == {}
    play.end(("can-do-without", 0))

    assert play.run.state is RunState.SUCCEEDED
    assert play.states() == {
        "maybe": StageState.FAILED,
        "needs": StageState.SKIPPED,
        "can-do-without": StageState.SUCCEEDED,
    }


def test_what_somebody_cancelled_is_not_tried_again() -> None:
    play = Play(a_run(a_stage("a", tries=3)))

    play.end(("a", 0), State.FAILED)
    assert play.running() == [("a", 0)]
    play.end(("a", 0), State.CANCELLED)

    assert play.run.state is RunState.FAILED


def test_progress_counts_stages_by_their_weight() -> None:
    play = Play(a_run(a_stage("light"), a_stage("heavy", weight=3.0)))
    play.end(("light", 0))

    view = View(play.run, list(play.pieces.values()))

    assert view.progress({JobId("('heavy', 0)"): 0.5}) == (1 + 3 * 0.5) / 4
