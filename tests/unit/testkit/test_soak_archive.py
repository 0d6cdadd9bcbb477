"""A job that died is accounted for, also after the store has let go of all that told of it."""

from __future__ import annotations

from headrace.testkit.chaos.checker import Evidence, judge
from headrace.testkit.chaos.effects import AttemptRow, Effects, Row
from headrace.testkit.chaos.ledger import ClientFacts
from headrace.testkit.soak.archive import Archive

DEAD = Row("job", "k1", "dead", 2, 1, 0, 1, None, held=False, cancel_asked_at=None, finished_at=9.0)


def when_it_died() -> Effects:
    return Effects([DEAD], [AttemptRow("job", 1, 1, "lost")], outbox=1, letters={1: "job", 2: None})


def test_what_was_deleted_is_in_the_archive_and_what_waits_is_as_of_now() -> None:
    archive = Archive()
    archive.add(when_it_died())

    everything = archive.with_all_of(Effects([], [], outbox=0))

    assert everything == Effects(
        [DEAD], [AttemptRow("job", 1, 1, "lost")], outbox=0, letters={1: "job", 2: None}
    )


def test_a_dead_job_whose_letter_was_deleted_before_it_is_not_missed() -> None:
    archive = Archive()
    archive.add(when_it_died())

    everything = archive.with_all_of(Effects([DEAD], [], outbox=0))

    judged = judge(Evidence(ClientFacts(), [], everything)).broken
    assert [sentence for sentence in judged if sentence.startswith("7 dead:")] == []


def test_a_dead_job_that_never_had_a_letter_is_found() -> None:
    everything = Archive().with_all_of(Effects([DEAD], [], outbox=0))

    judged = judge(Evidence(ClientFacts(), [], everything)).broken
    assert [sentence for sentence in judged if sentence.startswith("7 dead:")] == [
        "7 dead: job has 0 dead letters, and is dead"
    ]
