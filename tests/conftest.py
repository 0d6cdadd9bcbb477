"""What every room shares: the real servers, found once for the whole run."""

from __future__ import annotations

import hypothesis
import pytest

# Conformance suites assert from an installed package; a failure there should explain itself too.
pytest.register_assert_rewrite("headrace.testkit")

from headrace.testkit import infra  # noqa: E402  # the line above must come first

# How long an example takes says something about the machine that day, not about the code.
hypothesis.settings.register_profile("headrace", deadline=None)
hypothesis.settings.load_profile("headrace")

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """What a run should be quoted with: lines for the end of its report."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    return infra.rabbitmq()


@pytest.fixture(scope="session")
def redis_url() -> str:
    return infra.redis()


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return infra.postgres()
