"""Who asked to be called is called once this process leaves, and nobody after he has left himself."""

from __future__ import annotations

from headrace.api.stopping import Stopping


def test_those_who_are_there_are_called() -> None:
    stopping, called = Stopping(), list[str]()
    with (
        stopping.calls(lambda: called.append("first")),
        stopping.calls(lambda: called.append("second")),
    ):
        stopping.set()

    assert sorted(called) == ["first", "second"]


def test_who_comes_too_late_is_called_at_once() -> None:
    stopping, called = Stopping(), list[str]()
    stopping.set()
    with stopping.calls(lambda: called.append("late")):
        assert called == ["late"]


def test_who_has_left_is_not_called() -> None:
    stopping, called = Stopping(), list[str]()
    with stopping.calls(lambda: called.append("gone")):
        pass
    stopping.set()

    assert called == []
