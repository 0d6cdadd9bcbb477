"""Whether a worker can really receive, and how that is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.messages import Hearing, Vitals
from headrace.contracts.remote import remote_lane
from headrace.core.ports.operations import Member
from headrace.core.usecases.receiving import Standing, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ECHO, TEXT = Lane("echo"), Lane("text")
HEARS = {"echo": Hearing(1, 2.0)}


def a_member(vitals: Vitals | None = None, **fields: Any) -> Member:
    usual: dict[str, Any] = {
        "id": WorkerId("w"),
        "path": "local",
        "slots": {ECHO: 1},
        "seen_at": NOW - timedelta(seconds=5),
        "drain_asked_at": None,
        "vitals": vitals,
    }
    return Member(**{**usual, **fields})


@pytest.mark.parametrize(
    ("member", "busy", "receives", "said"),
    [
        (a_member(Vitals(hears=HEARS, order_s=3.0)), {}, True, "waits for offers of lane echo"),
        (a_member(Vitals(order_s=3.0)), {ECHO: 1}, True, "All of its slots are busy"),
        (a_member(Vitals(order_s=3.0)), {}, None, "did not wait for an offer"),
        (a_member(None), {}, None, "Its build does not say"),
        (a_member(None, slots={remote_lane("image"): 1}), {}, None, "It comes by HTTP"),
        (
            a_member(
                None,
                slots={remote_lane("image"): 1},
                seen_at=NOW - timedelta(minutes=4),
            ),
            *({}, None, "asks for work when it is ready"),
        ),
        (a_member(Vitals(hears=HEARS)), {}, False, "No answer has reached its mailbox yet"),
        (a_member(Vitals(hears=HEARS, order_s=90.0)), {}, False, "for 90 s no answer has reached"),
        (
            a_member(Vitals(hears={"echo": Hearing(1, 61.0)}, order_s=3.0)),
            *({}, False, "last known to be alive 61 s ago"),
        ),
        (
            a_member(
                Vitals(hears={**HEARS, "text": Hearing(2, 99.0)}, order_s=3.0),
                slots={ECHO: 1, TEXT: 2},
            ),
            *({}, False, "offers of lane text"),
        ),
        (a_member(Vitals(order_s=3.0), slots={}), {}, False, "No slot is ready"),
        (a_member(Vitals(draining=True, order_s=3.0)), {}, False, "may take offers again"),
    ],
)
def test_a_worker_that_is_heard_is_judged_by_what_it_hears(
    member: Member, busy: dict[Lane, int], receives: bool | None, said: str
) -> None:
    judged = judge(member, busy=busy, now=NOW)

    assert judged.standing is Standing.ALIVE
    assert judged.receives is receives
    assert said in judged.why


def test_who_is_silent_receives_nothing_whatever_it_said_last() -> None:
    member = a_member(Vitals(hears=HEARS, order_s=1.0), seen_at=NOW - timedelta(minutes=2))

    judged = judge(member, busy={}, now=NOW)

    assert (judged.standing, judged.receives) == (Standing.SILENT, False)
    assert "heard of it for 120 s" in judged.why


@pytest.mark.parametrize(
    ("vitals", "busy", "said"),
    [
        (None, {}, "its build does not know how"),
        (Vitals(), {}, "hears it with the answer to its next heartbeat"),
        (Vitals(draining=True), {ECHO: 1}, "1 job still runs"),
        (Vitals(draining=True), {ECHO: 2}, "2 jobs still run."),
        (Vitals(draining=True), {}, "It is drained"),
    ],
)
def test_how_far_a_drain_is(vitals: Vitals | None, busy: dict[Lane, int], said: str) -> None:
    judged = judge(a_member(vitals, drain_asked_at=NOW), busy=busy, now=NOW)

    assert (judged.standing, judged.receives) == (Standing.DRAINING, False)
    assert said in judged.why
