"""The finder asks in its order, and says what is missing; no server is needed to see that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.testkit import infra
from headrace.testkit.servers import Daemon


async def _only_good_urls_answer(url: str) -> None:
    if "good" not in url:
        raise ConnectionError(url)


def _never_started(tmp: Path) -> Daemon:
    raise AssertionError("nothing should be started here")


A_KIND = replace(
    infra.REDIS,
    variable="TEST_NOTHING_URL",
    usual=("redis://bad", "redis://good", "redis://good-too"),
    probe=_only_good_urls_answer,
    binary=lambda: None,
    daemon=_never_started,
)


@pytest.fixture(autouse=True)
def _not_found_before() -> None:
    infra.find.cache_clear()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> infra.Kind:
    """Neither an engine nor packages are asked; the two last sources have no answer."""
    sources = (infra.from_the_environment, infra.from_the_usual_port, infra.from_a_binary)
    monkeypatch.setattr(infra, "SOURCES", sources)
    return replace(A_KIND, usual=())


def test_a_url_in_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_NOTHING_URL", "redis://good/from-the-environment")

    assert infra.find(A_KIND) == "redis://good/from-the-environment"


def test_a_url_in_the_environment_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_NOTHING_URL", "redis://bad")

    with pytest.raises(pytest.fail.Exception, match="TEST_NOTHING_URL"):
        infra.find(A_KIND)


def test_then_the_usual_port_that_answers() -> None:
    assert infra.find(A_KIND) == "redis://good"


def test_without_any_the_test_is_skipped_with_the_remedies(
    nowhere: infra.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no Redis: set TEST_NOTHING_URL"):
        infra.find(nowhere)


def test_without_any_it_fails_where_ci_is_set(
    nowhere: infra.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no Redis: set TEST_NOTHING_URL"):
        infra.find(nowhere)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_a_missing_binary_skips_a_test_and_fails_it_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match="no Redis binary on this machine: install redis-server"):
        infra.need_binary(A_KIND)
