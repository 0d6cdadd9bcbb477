"""When schedules fire, also on the two days a year on which clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.cron import in_words, next_fire
from headrace.core.errors import BadSchedule

BERLIN = "Europe/Berlin"
# In Berlin 2027 clocks jump from 02:00 to 03:00 on 28 March, and from 03:00 back to 02:00 on
# 31 October, at 01:00 UTC both times.
SPRING = datetime(2027, 3, 27, 12, tzinfo=UTC)
AUTUMN = datetime(2027, 10, 30, 12, tzinfo=UTC)


def fires(cron: str, zone: str, after: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        following = next_fire(cron, zone, after)
        assert following is not None
        assert following > after
        found.append(following.strftime("%d %H:%M"))
        after = following
    return found


def test_a_time_of_day_is_one_of_its_zone() -> None:
    assert fires("0 6 * * *", BERLIN, SPRING, 3) == ["28 04:00", "29 04:00", "30 04:00"]
    assert fires("0 6 * * *", "UTC", SPRING, 2) == ["28 06:00", "29 06:00"]
    assert fires("0 6 * * *", "Asia/Kolkata", SPRING, 1) == ["28 00:30"]


def test_a_time_that_is_skipped_in_spring_fires_as_soon_as_the_clock_has_jumped() -> None:
    assert fires("30 2 * * *", BERLIN, SPRING, 2) == ["28 01:00", "29 00:30"]


def test_two_times_that_are_skipped_together_fire_once() -> None:
    assert fires("15,45 2 * * *", BERLIN, SPRING, 2) == ["28 01:00", "29 00:15"]


def test_a_time_that_comes_twice_in_autumn_fires_the_first_time() -> None:
    assert fires("30 2 * * *", BERLIN, AUTUMN, 2) == ["31 00:30", "01 01:30"]


def test_asked_between_the_two_it_does_not_fire_in_the_past() -> None:
    between = datetime(2027, 10, 31, 1, 10, tzinfo=UTC)  # 02:10 for the second time

    assert fires("30 2 * * *", BERLIN, between, 1) == ["01 01:30"]


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
def test_every_quarter_of_an_hour_is_real_time_whatever_clocks_do(start: datetime) -> None:
    after, seen = start, []
    for _ in range(4 * 24):
        following = next_fire("*/15 * * * *", BERLIN, after)
        assert following is not None
        seen.append(following - after)
        after = following

    assert set(seen) == {timedelta(minutes=15)}


def test_days_of_week_and_month_read_as_in_cron() -> None:
    assert fires("0 0 * * MON", "UTC", SPRING, 2) == ["29 00:00", "05 00:00"]
    assert fires("0 0 L * *", "UTC", SPRING, 1) == ["31 00:00"]


@pytest.mark.parametrize(
    "cron",
    [
        "", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "a b c d e", "@daily", "0 0 * * 1#9",
        "1-0 * * * *", "*/0 * * * *", "0 0 * * MON#2/3", "²³ * * * *", "*" * 300,
    ],
)  # fmt: skip
def test_what_is_no_cron_expression_is_said_to_be_none(cron: str) -> None:
    with pytest.raises(BadSchedule) as refused:
        next_fire(cron, "UTC", SPRING)

    assert refused.value.pointer == "/cron"


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../../etc/passwd", "localtime", "europe/berlin", "UTC\0"]
)
def test_what_is_no_time_zone_is_said_to_be_none(zone: str) -> None:
    with pytest.raises(BadSchedule) as refused:
        next_fire("0 6 * * *", zone, SPRING)

    assert refused.value.pointer == "/timezone"


FIELD = st.text(alphabet="0123456789*,-/#LW", min_size=1, max_size=6) | st.just("*")


@given(
    st.lists(FIELD, min_size=5, max_size=5), st.sampled_from([BERLIN, "UTC", "America/New_York"])
)
def test_anything_at_all_is_a_later_time_or_a_refusal(fields: list[str], zone: str) -> None:
    try:
        found = next_fire(" ".join(fields), zone, SPRING)
    except BadSchedule:
        return

    assert found is None or found > SPRING


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 6 * * MON-FRI", "At 06:00 on Monday through Friday"),
        ("*/5 * * * *", "Every fifth minute of every hour"),
        ("0 22 * * 5L", "At 22:00 on the last Friday of the month"),
        ("0 6 1 * MON", "At 06:00 on the first day of month and on Monday"),
        ("no cron at all", None),
        ("0 6 * * * *", None),
    ],
)
def test_an_expression_is_put_into_words(cron: str, words: str | None) -> None:
    assert in_words(cron) == words


@given(st.lists(FIELD, min_size=5, max_size=5))
def test_what_can_fire_has_words(fields: list[str]) -> None:
    cron = " ".join(fields)
    try:
        next_fire(cron, "UTC", SPRING)
    except BadSchedule:
        return

    assert in_words(cron)
