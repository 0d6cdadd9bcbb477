"""Receivers on the other side of a real socket: what each of them can do to us, and what comes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Reference
from tests.integration.webhooks.conftest import (
    QUICK,
    SECRET,
    Calls,
    calls_about,
    end_a_job,
    end_for,
    subscribe,
)

from headrace.adapters.receivers.http.receivers import HttpReceivers, open_http_receivers
from headrace.core.addresses import Address, Reach
from headrace.core.ports.webhooks import Call, CallState
from headrace.core.usecases.webhooks import redeliver, turn_key
from headrace.testkit.later import LaterStore
from headrace.testkit.receivers import (
    LOOPBACK,
    Behaviour,
    a_receiver,
    answers,
    closes,
    drips_its_body,
    drips_its_head,
    floods_its_body,
    floods_its_head,
    hangs,
    talks_nonsense,
)

PAGE = Path(__file__).parents[3] / "docs/webhooks.md"
INSIDE = "http://169.254.169.254/latest/meta-data/"
HOUR = timedelta(hours=1)


async def test_a_call_arrives_signed_as_the_reference_library_wants_it(
    calls: Calls, store: LaterStore
) -> None:
    async with a_receiver() as receiver:
        job = await end_for(store, receiver.url, trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        (call,) = await calls.make_due()

    (got,) = receiver.received
    said = Reference(SECRET).verify(got.body, got.headers)
    assert call.state is CallState.DELIVERED
    assert (said["type"], said["data"]["id"]) == ("job.succeeded", job.id)
    assert said["data"]["result"] == {"text": "hello"}
    assert "input" not in said["data"]
    assert got.headers["traceparent"] == job.trace
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert await calls.make_due() == []


async def test_while_a_key_is_turned_a_receiver_with_either_verifies(
    calls: Calls, store: LaterStore
) -> None:
    async with a_receiver() as receiver:
        endpoint = await subscribe(store, receiver.url)
        new = Reference("whsec_" + "bmV3" * 10)
        async with store.begin() as tx:
            await tx.signing(endpoint.tenant, endpoint.id, lambda: SECRET)
            await turn_key(tx, endpoint.tenant, endpoint.id, lambda: "whsec_" + "bmV3" * 10)
        await end_a_job(store)
        await calls.make_due()

    (got,) = receiver.received
    assert Reference(SECRET).verify(got.body, got.headers) == new.verify(got.body, got.headers)


@dataclass(frozen=True)
class Hostile:
    name: str  # as the page has it
    behave: Behaviour
    state: CallState
    connections: int = 1


HOSTILE = [
    Hostile("never answers", hangs, CallState.WAITING),
    Hostile("drips its head, line by line", drips_its_head, CallState.WAITING),
    Hostile("sends a head without end", floods_its_head, CallState.WAITING),
    Hostile("drips its body, byte by byte", drips_its_body, CallState.DELIVERED),
    Hostile("sends a body without end", floods_its_body, CallState.DELIVERED),
    Hostile("closes the connection", closes, CallState.WAITING),
    Hostile("speaks another protocol", talks_nonsense, CallState.WAITING),
    Hostile("redirects inward", answers(302, Location=INSIDE), CallState.WAITING),
    Hostile("answers 500", answers(500), CallState.WAITING),
    Hostile("answers 410", answers(410), CallState.GIVEN_UP),
]  # fmt: skip
_SAID = {
    CallState.DELIVERED: "delivered",
    CallState.WAITING: "tried again",
    CallState.GIVEN_UP: "given up, its endpoint disabled",
}


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda each: each.name)
async def test_what_comes_of_a_hostile_receiver(
    hostile: Hostile, calls: Calls, store: LaterStore, figures: list[str]
) -> None:
    async with a_receiver(hostile.behave) as receiver:
        endpoint = await subscribe(store, receiver.url)
        await end_a_job(store)
        (call,) = await calls.make_due()
        async with store.begin() as tx:
            after = await tx.endpoint(endpoint.tenant, endpoint.id)

    assert call.state is hostile.state
    assert receiver.connections == hostile.connections
    assert after is not None
    assert (after.disabled_at is not None) == (call.state is CallState.GIVEN_UP)
    assert call.log[-1].took_ms < 2000
    row = row_of(hostile.name, call)
    figures.append(row)
    assert row in PAGE.read_text()


def row_of(name: str, call: Call) -> str:
    """With the limits that are shipped instead of the test's."""
    found = call.log[-1].error or f"answered {call.log[-1].status}"
    found = re.sub(r"within [\d.]+ s", "within 15 s", found)
    return f"| {name} | {found} | {_SAID[call.state]} |"


async def test_500_for_an_hour_then_it_arrives_under_the_same_id(
    calls: Calls, store: LaterStore, figures: list[str]
) -> None:
    async with a_receiver(answers(500)) as receiver:
        job = await end_for(store, receiver.url)
        (call,) = await calls.make_due()
        began, tries = store.by, 1
        while store.by - began < HOUR:
            await calls.pass_to(call)
            (call,) = await calls.make_due()
            tries += 1
        receiver.behave = answers(200)
        await calls.pass_to(call)
        (call,) = await calls.make_due()

    assert call.state is CallState.DELIVERED
    ids = {each.headers["webhook-id"] for each in receiver.received}
    assert ids == {call.message}
    assert len({each.headers["webhook-timestamp"] for each in receiver.received}) > 1
    statuses = [each.status for each in call.log]
    assert statuses == [500] * tries + [200]
    assert tries < 8
    figures.append(f"500 for an hour: {tries} tries, then delivered")
    assert [each.id for each in await calls_about(store, job)] == [call.id]


async def test_one_that_never_recovers_is_given_up_and_its_endpoint_disabled(
    calls: Calls, store: LaterStore
) -> None:
    async with a_receiver(answers(503)) as receiver:
        endpoint = await subscribe(store, receiver.url)
        await end_a_job(store)
        (call,) = await calls.make_due()
        while call.state is CallState.WAITING:
            await calls.pass_to(call)
            (call,) = await calls.make_due()
        assert call.state is CallState.GIVEN_UP
        store.by += timedelta(days=3)
        await end_a_job(store)  # the fifth day: one more that does not arrive
        await calls.make_due()
        async with store.begin() as tx:
            after = await tx.endpoint(endpoint.tenant, endpoint.id)
        later = await end_a_job(store)

    assert len(receiver.received) == len(call.log) + 1 == 11
    assert after is not None
    assert "no call has arrived since" in str(after.disabled_why)
    assert await calls_about(store, later) == []


async def test_retry_after_is_heeded_within_bounds(calls: Calls, store: LaterStore) -> None:
    async with a_receiver(answers(429, Retry_After="120")) as receiver:
        await end_for(store, receiver.url)
        (call,) = await calls.make_due()
        waits = [_wait(call)]
        for asked in ("999999999", "-5", "soon"):
            await calls.pass_to(call)
            receiver.behave = answers(503, Retry_After=asked)
            (call,) = await calls.make_due()
            waits.append(_wait(call))

    assert waits[0] == timedelta(seconds=120)
    assert waits[1] == timedelta(hours=24)
    assert timedelta(minutes=20) < waits[2] < timedelta(minutes=40)
    assert timedelta(hours=1) < waits[3] < timedelta(hours=3)


async def test_a_date_to_retry_after_is_measured_by_the_receiver_s_own_clock(
    receivers: HttpReceivers,
) -> None:
    dates = {
        "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
        "Retry_After": "Wed, 21 Oct 2015 07:29:00 GMT",
    }
    async with a_receiver(answers(503, **dates)) as receiver:
        answer = await receivers.post(receiver.url, {}, b"{}")
    assert (answer.status, answer.retry_after_s) == (503, 60)


def _wait(call: Call) -> timedelta:
    assert call.next_at is not None
    return call.next_at - call.log[-1].at


# -- names that lie ---------------------------------------------------------------------------------


class Rebinding:
    """A name that means something else each time."""

    def __init__(self, *meanings: Sequence[str]) -> None:
        self.meanings = list(meanings)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Address]:
        meaning = self.meanings[min(self.asked, len(self.meanings) - 1)]
        self.asked += 1
        return [ip_address(each) for each in meaning]


@pytest.mark.parametrize(
    "meaning",
    [["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["169.254.169.254"]],
    ids=["loopback", "mapped", "one of two", "metadata"],
)
async def test_a_name_that_leads_inside_is_not_connected_to(meaning: list[str]) -> None:
    async with (
        a_receiver() as receiver,
        open_http_receivers(Reach(http=True), resolve=Rebinding(meaning), limits=QUICK) as out,
    ):
        answer = await out.post(f"http://receiver.example:{receiver.port}/", {}, b"{}")

    assert receiver.connections == 0
    assert answer.status is None
    assert answer.error == "receiver.example leads to an address that is not called from here"


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to() -> None:
    rebinding = Rebinding(["127.0.0.1"], ["169.254.169.254"])
    async with (
        a_receiver() as receiver,
        open_http_receivers(LOOPBACK, resolve=rebinding, limits=QUICK) as out,
    ):
        url = f"http://receiver.example:{receiver.port}/hook"
        first, second = await out.post(url, {}, b"{}"), await out.post(url, {}, b"{}")

    assert (first.status, second.status) == (204, None)
    assert rebinding.asked == 2  # once for each call
    assert [each.headers["host"] for each in receiver.received] == [
        f"receiver.example:{receiver.port}"
    ]


async def test_a_number_that_is_not_allowed_is_refused_without_a_lookup() -> None:
    rebinding = Rebinding(["127.0.0.1"])
    async with open_http_receivers(Reach(http=True), resolve=rebinding, limits=QUICK) as out:
        answers = [
            await out.post(f"http://{host}:8000/", {}, b"{}")
            for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]")
        ]
    assert {each.status for each in answers} == {None}
    assert all("not a public address" in str(each.error) for each in answers)
    assert rebinding.asked == 0


async def test_the_environment_s_proxies_are_not_asked(
    receivers: HttpReceivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_receiver() as proxy, a_receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        answer = await receivers.post(receiver.url, {}, b"{}")
    assert (answer.status, proxy.connections) == (204, 0)


async def test_a_redelivery_has_the_same_id_and_a_new_signature(
    calls: Calls, store: LaterStore
) -> None:
    async with a_receiver() as receiver:
        await end_for(store, receiver.url)
        (call,) = await calls.make_due()
        store.by += HOUR
        async with store.begin() as tx:
            await redeliver(tx, call.tenant, call.id)
        (again,) = await calls.make_due()

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == call.message
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert (again.id, len(again.log)) == (call.id, 2)
