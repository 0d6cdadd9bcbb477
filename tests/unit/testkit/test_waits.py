"""`eventually`: ends with the answer, or with the reason."""

from __future__ import annotations

import pytest

from headrace.testkit.waits import eventually


async def test_the_first_truthy_answer_comes_back() -> None:
    answers = iter([0, None, "ready"])

    assert await eventually(lambda: next(answers), every=0) == "ready"


async def test_an_async_predicate_is_awaited() -> None:
    answers = iter([False, True])

    async def ask() -> bool:
        return next(answers)

    assert await eventually(ask, every=0)


async def test_a_failed_assertion_means_not_yet() -> None:
    counts = iter([1, 2, 3])

    def reached_three() -> bool:
        assert next(counts) == 3
        return True

    assert await eventually(reached_three, every=0)


async def test_in_the_end_it_fails_with_what_it_last_saw() -> None:
    with pytest.raises(AssertionError, match=r"not so within 0 s: the last answer was \[\]"):
        await eventually(list, within=0)


async def test_any_other_error_is_not_swallowed() -> None:
    def broken() -> bool:
        raise LookupError("a bug in the test")

    with pytest.raises(LookupError, match="a bug in the test"):
        await eventually(broken)
