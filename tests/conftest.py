"""What every room shares: the real servers, found once for the whole run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import hypothesis
import pytest
import pytest_asyncio

# Conformance suites assert from an installed package; a failure there should explain itself too.
pytest.register_assert_rewrite("headrace.testkit")

from headrace.testkit import infra  # noqa: E402  # the line above must come first

# A limit that ran out, here or in a library. Anything else that a fault brings to light is a fact.
_WAITED_IN_VAIN = [r"not so within", r"TimeoutError", r"Timeout \("]

# How long an example takes says something about the machine that day, not about the code.
hypothesis.settings.register_profile("headrace", deadline=None)
hypothesis.settings.load_profile("headrace")

_FIGURES = pytest.StashKey[list[str]]()
_FIGURES_SENT = "figures"


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """What a run should be quoted with: lines for the end of its report."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Gathering(config), "figures")


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_FIGURES_SENT] = session.config.stash.get(_FIGURES, [])


class _Gathering:
    """Where several processes share the tests, each sends its lines to the one that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._figures = config.stash.setdefault(_FIGURES, [])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._figures += getattr(node, "workeroutput", {}).get(_FIGURES_SENT, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test among real processes has a second try, and the summary names each that needed it.

    Under faults only a wait has one: a promise that was broken once is broken.
    """
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=_WAITED_IN_VAIN))
        elif item.get_closest_marker("real") or item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    return infra.rabbitmq()


@pytest.fixture(scope="session")
def redis_url() -> str:
    return infra.redis()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_cluster_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[str]:
    """Of three masters: one that somebody names, or our own."""
    if url := infra.from_the_environment(infra.REDIS_CLUSTER):
        yield url
        return
    infra.need_binary(infra.REDIS_CLUSTER)
    async with infra.own_redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return infra.postgres()
