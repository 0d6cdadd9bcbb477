"""What becomes of a message is logged, with a stack trace only where nothing else explains it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from headrace.core.errors import BadMessage, Unavailable
from headrace.dispatcher.role import _report

SLIP = ValueError("a slip of ours")


@pytest.mark.parametrize(
    ("error", "said", "trace"),
    [
        (Unavailable("the store", "nobody listens"), "the store is unavailable", None),
        (BadMessage("no message"), "no message", None),
        (TimeoutError(), "took too long", None),
        (SLIP, "a slip of ours", SLIP),
    ],
)
async def test_an_error_that_explains_itself_has_no_stack_trace(
    error: Exception, said: str, trace: Exception | None
) -> None:
    with capture_logs() as logs:
        _report("retried", "q", error)

    (line,) = logs
    assert said in line["error"]
    assert line["exc_info"] is trace
