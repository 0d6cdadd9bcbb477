"""What an open schema lets in comes back as it was, or is refused at the door."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

numbers = st.one_of(
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.integers(min_value=0, max_value=4_000).map(lambda digits: 10**digits),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def written(value: Any) -> bytes:
    return msgspec.json.encode({"kind": "text", "input": {"value": value}})


@pytest.mark.parametrize("examples", [40, pytest.param(1000, marks=pytest.mark.full)])
def test_an_input_comes_back_as_it_was(red: httpx.Client, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(value=values)
    def submit(value: Any) -> None:
        body = written(value)
        made = red.post("/jobs", content=body, headers={"content-type": "application/json"})
        if made.status_code == 400:
            assert b"\\u0000" in body, made.text
            return
        assert made.status_code == 202, made.text
        found = red.get(f"/jobs/{made.json()['id']}")

        assert found.status_code == 200
        assert alike(made.json()["input"]["value"], value)
        assert alike(found.json()["input"]["value"], value)

    submit()


def alike(found: Any, asked: Any) -> bool:
    """JSON has one kind of number: a database may write 1e22 with all its digits."""
    if isinstance(asked, dict):
        return found.keys() == asked.keys() and all(alike(found[k], asked[k]) for k in asked)
    if isinstance(asked, list):
        return len(found) == len(asked) and all(map(alike, found, asked))
    return bool(float(found) == asked if isinstance(asked, float) else found == asked)
