"""Whatever the driver says of a broken broker is one error; what is not about the broker stays what it is."""

from __future__ import annotations

import asyncio

import pytest
from aiormq.exceptions import ChannelClosed

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.core.errors import Unavailable


@pytest.mark.parametrize(
    "error",
    [
        ChannelClosed(406, "PRECONDITION_FAILED"),
        ConnectionResetError("reset by peer"),
        TimeoutError(),
        asyncio.InvalidStateError("channel is closed"),
        asyncio.CancelledError(),  # a waiter of the driver's, while nobody cancelled us
        Exception(),  # a channel that closed without a reason
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_broker_is_unavailable(error: BaseException) -> None:
    async def settle() -> None:
        with as_unavailable():
            raise error

    with pytest.raises(Unavailable, match="RabbitMQ"):
        asyncio.run(settle())


@pytest.mark.parametrize("error", [KeyError("x"), Exception("with words"), ValueError()])
def test_a_defect_of_ours_is_no_outage(error: Exception) -> None:
    with pytest.raises(type(error)), as_unavailable():
        raise error
