"""Every way in which the driver says that something broke, as one error with a plain reason."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from aio_pika.exceptions import AMQPError
from aiormq.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from headrace.core.errors import Unavailable

BROKER: Final = "RabbitMQ"

# OSError covers refused and reset connections and every TimeoutError; RuntimeError is what the
# driver raises, now as such and now as a subclass, by a channel or connection that has closed.
DRIVER_ERRORS: Final = (AMQPError, OSError, RuntimeError, asyncio.InvalidStateError)

REASONS: Final[Mapping[type[BaseException], str]] = {
    AuthenticationError: "it refused the user or the password",
    ProbableAuthenticationError: "it refused the user or the password",
    # The driver drops the broker's own words here; only these three make it close so early.
    InvalidFrameError: "it refused the virtual host: there is no such one, the user has no right"
    " to it, or it has too many connections",
    ChannelNotFoundEntity: "there is no such queue",
    ConnectionRefusedError: "nobody listens there",
    socket.gaierror: "the host name is not known",
    TimeoutError: "no answer in time",
}


@contextmanager
def as_unavailable(what: str = BROKER) -> Generator[None]:
    try:
        yield
    except asyncio.CancelledError as gone:
        # The driver ends its waiters with this very error when a channel closes under them.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable(what, "the connection was lost") from gone
    except DRIVER_ERRORS as broken:
        raise Unavailable(what, plainly(broken)) from broken
    except Exception as gone:
        # aiormq's word for a channel that was closed for no reason it knows: no class of its own
        # (`reject_reason or Exception`, aiormq/base.py). Taken for a defect, it ended the process.
        if type(gone) is not Exception or gone.args:
            raise
        raise Unavailable(what, "the connection was lost") from gone


def plainly(error: BaseException) -> str:
    """One line for a person."""
    return _known(error) or _known(error.__cause__) or _own_words(error)


def _known(error: BaseException | None) -> str | None:
    if isinstance(error, InvalidFrameError) and "Connection.Close" not in str(error):
        return None
    return next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), None)


def _own_words(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def timed_out(error: Unavailable) -> bool:
    """Did the broker say nothing at all, as it does when a connection is stuck?"""
    return isinstance(error.__cause__, TimeoutError)
