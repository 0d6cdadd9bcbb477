"""What the drivers raise, said in the port's words. The only place that knows their errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from headrace.core.errors import HeadraceError, InvalidInput, Misconfigured, Unavailable

DATABASE: Final = "the database"
LINE_AT_MOST: Final = 200
MIGRATE: Final = "Run `headrace migrate`."

# Classes of SQLSTATE after which the same call may succeed: connection, rollback (deadlock),
# resources, lock timeout, operator intervention (also statement timeouts), system.
PASSING: Final = ("08", "40", "53", "55", "57", "58", "25P03")
NO_SUCH_TABLE: Final = ("42P01", "42703")
NO_ENTRY: Final = ("28", "3D")  # authorization, no such database
UNSTORABLE: Final = ("22", "54")  # data that no column can hold, or too deeply nested


@contextmanager
def translated() -> Generator[None]:
    """For the calls into the driver and nothing else: errors of our callers are not ours."""
    try:
        yield
    except NoFreeConnection as error:
        raise Unavailable(DATABASE, "no connection became free in time") from error
    except DBAPIError as error:
        raise _said(error) from error
    except asyncpg.PostgresError as error:
        raise _by_state(error, str(error.sqlstate)) from error
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise Unavailable(DATABASE, _line(error) or "it did not answer in time") from error


def _said(error: DBAPIError) -> Exception:
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return _by_state(error, state)
    if "no such table" in str(error.orig) or "no such column" in str(error.orig):
        return _no_schema()
    gone = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return Unavailable(DATABASE, _line(error.orig)) if gone else error


def _by_state(error: Exception, state: str) -> Exception:
    reason = getattr(error, "orig", None) or error
    if state.startswith(PASSING):
        return Unavailable(DATABASE, _line(reason))
    if state in NO_SUCH_TABLE:
        return _no_schema()
    if state.startswith(NO_ENTRY):
        return Misconfigured(
            f"The database lets nobody in: {_line(reason)}.", "Correct its address (DATABASE_URL)."
        )
    if state.startswith(UNSTORABLE):
        return InvalidInput("", f"the database cannot keep this: {_line(reason)}")
    return error


def _no_schema() -> HeadraceError:
    return Misconfigured("The database has not the tables this build needs.", MIGRATE)


def _line(error: BaseException | None) -> str:
    """The first line, without the driver's class name in front."""
    text = str(error).strip().partition("\n")[0]
    return (text.partition(">: ")[2] or text)[:LINE_AT_MOST]
