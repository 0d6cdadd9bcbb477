"""What a webhook says, how it is signed, and what an answer means."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Reference
from typing_extensions import override

from headrace.contracts.ids import CallId, EndpointId
from headrace.core.addresses import Reach
from headrace.core.errors import BadWebhook
from headrace.core.job import TERMINAL, TRANSITIONS, State, Webhook
from headrace.core.ports.receivers import Answer
from headrace.core.ports.webhooks import Call, CallState, Endpoint, Signing
from headrace.core.webhook_retry import (
    DISABLED_AFTER,
    LONGEST_WAIT,
    MOST_TRIES,
    REMEMBERED,
    judge,
    wait_after,
)
from headrace.core.webhook_signing import SECRET_BYTES, secret_of, signature
from headrace.core.webhooks import (
    ENDS,
    MAX_BODY_BYTES,
    OF_A_JOB,
    EventType,
    Happened,
    calls_for,
    check_webhook,
    event_type,
)
from headrace.testkit.builders import LONG_AGO, a_job, an_endpoint

URL = "https://receiver.example/hook"


def happened(type_: EventType = EventType.SUCCEEDED, **fields: Any) -> Happened:
    state = State.RUNNING if type_ is EventType.STARTED else State(type_.removeprefix("job."))
    return Happened(type_, a_job(state=state, **fields), LONG_AGO)


def a_call(**fields: Any) -> Call:
    (call,) = calls_for(happened(webhook=Webhook(URL)), [])
    return replace(call, **{"tries": 1, "endpoint": EndpointId("e"), **fields})


class Middle(Random):
    """No jitter."""

    @override
    def random(self) -> float:
        return 0.5


def judged(
    answer: Answer, *, call: Call | None = None, endpoint: Endpoint | None = None,
    now: datetime = LONG_AGO,
) -> tuple[Call, Endpoint | None]:  # fmt: skip
    found = judge(call or a_call(), endpoint, answer, now=now, random=Middle())
    return found.call, found.endpoint


# -- signatures -----------------------------------------------------------------------------------


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), st.text(max_size=200))
def test_the_reference_library_takes_our_signature(random: bytes, text: str) -> None:
    secret, body = secret_of(random), msgspec.json.encode({"text": text.encode("utf-8", "ignore")})
    assert signature([secret], "msg_1", 1_700_000_000, body) == Reference(secret).sign(
        "msg_1", datetime.fromtimestamp(1_700_000_000).astimezone(), body.decode()
    )


def test_while_a_key_is_turned_either_secret_verifies() -> None:
    old, new = secret_of(b"o" * 32), secret_of(b"n" * 32)
    signing = Signing(new, old, LONG_AGO + timedelta(hours=24))

    during = signing.valid(LONG_AGO)
    after = signing.valid(LONG_AGO + timedelta(hours=24))

    assert (during, after) == ([new, old], [new])
    both = signature(during, "msg_1", 1, b"{}").split(" ")
    assert both == [signature([new], "msg_1", 1, b"{}"), signature([old], "msg_1", 1, b"{}")]


# -- what is said, and to whom ----------------------------------------------------------------------


def test_every_move_into_an_end_or_a_run_is_an_event_and_no_other_is() -> None:
    said = {
        (before, after): event_type(before, after) for (before, _), after in TRANSITIONS.items()
    }
    for (before, after), found in said.items():
        starts = (before, after) == (State.QUEUED, State.RUNNING)
        assert (found is not None) == (after in TERMINAL or starts), (before, after)
    assert {each for each in said.values() if each} == set(OF_A_JOB)


def test_an_endpoint_hears_ends_unless_it_says_otherwise() -> None:
    usual, picky = an_endpoint(), an_endpoint(events=("job.started", "job.dead"))
    heard = {
        each: [call.endpoint for call in calls_for(happened(each), [usual, picky])]
        for each in OF_A_JOB
    }
    assert {each for each in OF_A_JOB if usual.id in heard[each]} == ENDS
    assert {each for each in OF_A_JOB if picky.id in heard[each]} == {"job.started", "job.dead"}


def test_the_same_event_has_one_id_and_each_receiver_a_call_of_its_own() -> None:
    job = a_job(state=State.SUCCEEDED, webhook=Webhook(URL))
    both = [
        list(calls_for(Happened(EventType.SUCCEEDED, job, at), [an_endpoint(id=EndpointId("e"))]))
        for at in (LONG_AGO, LONG_AGO + timedelta(days=1))
    ]
    assert len({call.message for calls in both for call in calls}) == 1
    assert [call.id for call in both[0]] == [call.id for call in both[1]]
    assert len({call.id for call in both[0]}) == 2


def test_every_attempt_that_starts_is_told_apart() -> None:
    job = a_job(state=State.RUNNING, webhook=Webhook(URL, ("job.started",)))
    ids = {
        call.message
        for attempt in (1, 2)
        for call in calls_for(
            Happened(EventType.STARTED, replace(job, attempt=attempt), LONG_AGO), []
        )
    }
    assert len(ids) == 2
    assert not any("." in each for each in ids)


@pytest.mark.parametrize("error", [None, {"kind": "internal", "message": "m" * 30_000}])
def test_what_is_too_large_is_left_out_and_linked(error: dict[str, Any] | None) -> None:
    large = happened(webhook=Webhook(URL), output={"text": "x" * MAX_BODY_BYTES}, error=error)
    (call,) = calls_for(large, [])
    data = msgspec.json.decode(call.body)["data"]
    assert len(call.body) <= MAX_BODY_BYTES
    assert (data["result"], data["left_out"]) == (None, True)
    assert data["links"]["result"] == f"/jobs/{call.job}/result"


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        (Webhook("https://10.0.0.1/"), "/webhook/url"),
        (Webhook(URL, ("job.started", "job.eaten")), "/webhook/events"),
    ],
)
def test_a_bad_webhook_says_where(webhook: Webhook, pointer: str) -> None:
    with pytest.raises(BadWebhook) as caught:
        check_webhook(webhook, Reach(), pointer="/webhook")
    assert caught.value.pointer == pointer


# -- what an answer means ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_what_is_thanked_for_has_arrived(status: int) -> None:
    call, _ = judged(Answer(status))
    assert (call.state, call.next_at, call.settled_at) == (CallState.DELIVERED, None, LONG_AGO)


@pytest.mark.parametrize("status", [None, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status: int | None) -> None:
    call, _ = judged(Answer(status))
    assert (call.state, call.next_at) == (CallState.WAITING, LONG_AGO + timedelta(seconds=5))
    assert call.log[-1].error


def test_a_receiver_that_is_gone_is_called_no_more() -> None:
    call, endpoint = judged(Answer(410), endpoint=an_endpoint())
    assert call.state is CallState.GIVEN_UP
    assert endpoint is not None
    assert (endpoint.disabled_at, endpoint.disabled_why) == (LONG_AGO, "it answered 410")


def test_the_waits_grow_over_three_days_and_then_it_is_given_up() -> None:
    waits = [wait_after(tries, None, Middle()) for tries in range(1, MOST_TRIES + 1)]
    known = [each for each in waits if each is not None]
    assert known == sorted(known)
    assert waits[-1] is None
    assert timedelta(hours=72) < sum(known, timedelta()) < timedelta(hours=96)
    call, _ = judged(Answer(500), call=a_call(tries=MOST_TRIES))
    assert call.state is CallState.GIVEN_UP


@given(st.integers(1, MOST_TRIES - 1), st.none() | st.floats(0, 1e9), st.integers())
def test_a_wait_is_spread_and_bounded_whatever_a_receiver_asks_for(
    tries: int, asked_s: float | None, seed: int
) -> None:
    usual = wait_after(tries, None, Middle())
    wait = wait_after(tries, asked_s, Random(seed))
    assert wait is not None
    assert usual is not None
    assert wait <= LONGEST_WAIT
    assert wait >= min(usual * 0.8, LONGEST_WAIT)
    assert wait >= min(timedelta(seconds=asked_s or 0), LONGEST_WAIT)
    if not asked_s:
        assert wait <= usual * 1.2


def test_an_endpoint_that_fails_for_days_is_disabled_and_one_that_recovers_is_not() -> None:
    _, failing = judged(Answer(500), endpoint=an_endpoint())
    assert failing is not None
    assert (failing.failing_since, failing.disabled_at) == (LONG_AGO, None)

    _, still = judged(Answer(500), endpoint=failing, now=LONG_AGO + DISABLED_AFTER / 2)
    _, well = judged(Answer(200), endpoint=failing, now=LONG_AGO + DISABLED_AFTER / 2)
    _, over = judged(Answer(None, "hangs"), endpoint=failing, now=LONG_AGO + DISABLED_AFTER)

    assert still is None  # nothing to write
    assert well is not None
    assert well.failing_since is None
    assert over is not None
    assert over.disabled_at == LONG_AGO + DISABLED_AFTER
    assert "no call has arrived since 2020-01-01" in str(over.disabled_why)


def test_the_log_of_a_call_is_bounded() -> None:
    call = a_call()
    for _ in range(REMEMBERED + 5):
        call, _ = judged(Answer(500), call=call)
    assert len(call.log) == REMEMBERED
    assert CallId(call.id) == call.id
