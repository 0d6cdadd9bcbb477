"""What the benchmark of live streams makes of its figures."""

from __future__ import annotations

import re

import pytest
from tests.bench.streams.clients import quantiles
from tests.bench.streams.ladder import highest, in_time, rates
from tests.bench.streams.load import Round
from tests.bench.streams.tables import (
    Section,
    at_least,
    at_most,
    delivered,
    foreign,
    number,
    ratio,
    round_row,
    shown,
    targets,
)
from tests.bench.streams.ways import live_message
from tests.bench.streams.wire import WIRES, event, numbered, text_frame, token

from headrace.contracts.logs import read_message


def a_round(**given: object) -> Round:
    known: dict[str, object] = {
        "rate": 20.0,
        "received": 1000,
        "expected": 1000,
        "disorder": 0,
        "closed": 0,
        "late_ms": (1.0, 4.0),
        "publisher_late_ms": 3.0,
        "took_s": 2.0,
        "used": {"server": 0.25, "redis": 0.1, "clients": 0.2, "publisher": 0.05},
        "foreign": 0.1,
        "memory_kb": 100_000,
    }
    return Round(**{**known, **given})  # type: ignore[arg-type]  # as a test names them


def test_the_cost_of_a_token_is_what_the_gateway_used_over_what_came() -> None:
    told = a_round()

    assert told.tokens_per_s == 500
    assert told.us_per_token == 500


@pytest.mark.parametrize(
    "trouble",
    [
        {"received": 999},
        {"disorder": 1},
        {"late_ms": (1.0, 1_001.0)},
        {"publisher_late_ms": 501.0},
    ],
)
def test_a_rate_is_too_much_when_anything_is_lost_out_of_order_or_late(
    trouble: dict[str, object],
) -> None:
    assert in_time(a_round())
    assert not in_time(a_round(**trouble))


def test_the_highest_rate_is_of_those_in_time_alone() -> None:
    fast = a_round(received=3000, expected=3000)
    too_fast = a_round(received=8000, expected=9000)

    assert highest([a_round(), fast, too_fast]) is fast
    assert highest([too_fast]) is None


def test_rates_rise_by_half_up_to_the_most() -> None:
    assert list(rates(1_000, 2_500)) == [1_000, 1_500, 2_250]


def test_a_target_is_met_from_its_own_side() -> None:
    checks = [
        at_most("T8", "late", 2, 2.0),
        at_most("T8", "late", 2, 2.1),
        at_least("T9", "fast", 4, 4.0),
        at_least("T9", "fast", 4, 3.9),
        at_least("T9", "fast", 8, None, "not installed"),
    ]

    assert [check.verdict for check in checks] == [
        "met", "missed", "met", "missed", "not measured"
    ]  # fmt: skip
    told = shown(targets(checks))
    assert "2 of 5 met" in told
    assert "| T8 | late | ≤ 2.00 x | 2.10 x | missed |" in told
    assert "| T9 | fast | ≥ 8.00 x | - | not measured: not installed |" in told


def test_a_ratio_to_what_was_not_measured_is_none() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(None, 4.0) is None
    assert ratio(1.0, None) is None
    assert ratio(1.0, 0.0) is None


def test_a_row_says_what_was_lost_and_who_else_was_busy() -> None:
    row = round_row("raw", a_round(received=900, disorder=2, foreign=0.5))

    assert row[:3] == ["raw", "450", "90.0 %, 2 out of order"]
    assert row[-2:] == ["0.50*", "3.00"]
    assert delivered(a_round()) == "all, in order"
    assert foreign(0.49) == "0.49"


def test_a_section_is_a_heading_a_table_and_its_sentences() -> None:
    section = Section("Many", "All at once.", ("a", "b"), [["1", "2"]], after=["Done."])

    assert shown(section) == (
        "## Many\n\nAll at once.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nDone."
    )


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (99.94, "99.9"), (9.994, "9.99"), (0.0, "0.00")]
)
def test_three_figures_are_shown(value: float, text: str) -> None:
    assert number(value) == text


def test_quantiles_of_nothing_are_zero() -> None:
    assert quantiles([]) == [0.0, 0.0]
    assert quantiles([float(nth) for nth in range(101)]) == [50.0, 99.0]


def test_what_is_published_past_the_log_reads_like_what_the_script_publishes() -> None:
    (entry,) = read_message(live_message(17, b'{"type":"token","text":"1"}'))

    assert (str(entry.position), entry.type, entry.data) == (
        "1-17",
        "token",
        b'{"type":"token","text":"1"}',
    )


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ("sse", event(17, b"token", token())),
        ("headrace", event(17, b"token", token())),
        ("websocket", b'{"job":"j","id":"1-17","frame":%b}' % token()),
        ("nchan", b"id: 1:0\ndata: %b\n\n" % numbered(17)),
        ("socketio", b'42["frame",%b]' % numbered(17)),
    ],
    ids=["sse", "headrace", "websocket", "nchan", "socketio"],  # what is said has a time in it
)
def test_each_wire_finds_its_tokens(wire: str, said: bytes) -> None:
    (match,) = WIRES[wire].token.finditer(b"chunk\r\n" + said + said[:10])

    assert match[1] == b"17"
    assert re.fullmatch(rb"\d+", match[2])


def test_a_request_asks_for_its_job_and_upgrades_where_it_must() -> None:
    plain = WIRES["headrace"].request("j-1", "127.0.0.1:80")
    socket = WIRES["websocket"].request("j-1", "127.0.0.1:80")

    assert plain.startswith(b"GET /jobs/j-1/events HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert b"Upgrade: websocket" in socket
    assert socket.endswith(b"\r\n\r\n")


def test_a_text_frame_is_masked_with_nothing() -> None:
    assert text_frame("40") == b"\x81\x82\x00\x00\x00\x0040"
