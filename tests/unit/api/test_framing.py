"""Server-Sent Events are read back as what was written, whatever is in them and however they are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.api.addresses import position
from headrace.api.dialects.native.translate import read_cursor
from headrace.api.gateways.sse import event
from headrace.api.problems import Refused
from headrace.contracts.frames import Entry
from headrace.contracts.ids import Position

OURS = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})")
numbers = st.integers(0, 10**18 - 1)
positions = st.builds(Position, numbers, numbers)
# As in an engine's JSON: line ends in and between its values, NUL, and bytes that are no UTF-8.
data = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\0", b"\xc3\xa9", b"\xff", b"data: x", b"id: 9"]),
    max_size=8,
).map(b"".join)


def heard(chunks: list[bytes]) -> Iterator[tuple[str, str, str]]:
    """By a parser that is not ours."""
    lines, events = SSELineDecoder(), SSEDecoder()
    text = b"".join(chunks).decode(errors="replace")
    for line in [*lines.decode(text), *lines.flush()]:
        if (found := events.decode(line)) is not None:
            yield found.id, found.event, found.data


@given(at=positions, said=data.filter(lambda said: said.splitlines() != []))
@example(at=Position(1, 2), said=b"a\r\n\r\nid: 7\ndata: b\r")
def test_one_entry_is_one_event_whatever_it_says(at: Position, said: bytes) -> None:
    entries = [Entry(at, "token", said), Entry(Position(0, 1), "queued", b"{}")]

    first, second = heard([event(each) for each in entries])

    assert first == (str(at), "token", b"\n".join(said.splitlines()).decode(errors="replace"))
    assert second == ("0-1", "queued", "{}")


@given(at=positions)
def test_a_position_is_read_as_it_was_written(at: Position) -> None:
    assert position(str(at)) == at


@given(text=st.text(min_size=1).filter(lambda text: OURS.fullmatch(text) is None))
@example(text="\N{ARABIC-INDIC DIGIT THREE}-\N{ARABIC-INDIC DIGIT ONE}")
@example(text="1-1\n")
@example(text="-1-1")
def test_any_other_position_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        position(text)

    assert refused.value.problem.status == 400


@given(cursor=st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_a_cursor_is_read_or_no_value(cursor: str) -> None:
    with suppress(ValueError):
        read_cursor(cursor)
