"""Where the database is, how to connect to it, and with which limits."""

from __future__ import annotations

import asyncio
import sqlite3
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from headrace.core.errors import Misconfigured

SQLITE_AT_LEAST: Final = (3, 38)  # the operator ->> and RETURNING
REMEDY: Final = "Use postgresql://user:password@host/database or sqlite:///path/to/file.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long anything may take. A dead socket is a wait, not an error: so everything has one."""

    pool_size: int = 10
    pool_wait_s: float = 4.0
    connect_s: float = 5.0
    command_s: float = 10.0  # seen from here
    statement_s: float = 15.0  # seen from the server, for when we are gone
    lock_s: float = 5.0
    idle_in_transaction_s: float = 30.0


@dataclass(slots=True, weakref_slot=True, eq=False)
class Neighbours:
    """What stores on one SQLite file in one process share.

    The gate lets one transaction in at a time: SQLite allows one writer anyway, and would let the
    others sleep and try again instead of queueing. The bells ring for whoever waits for hints.
    """

    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    bells: set[asyncio.Event] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Postgres:
    dsn: str = field(repr=False)  # with the password


@dataclass(frozen=True, slots=True)
class Sqlite:
    file: Path


Place: TypeAlias = Postgres | Sqlite


def place_of(url: str) -> Place:
    """Raises Misconfigured when the URL names no database this adapter knows. Never repeats it."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Misconfigured("The database's address is not a URL.", REMEDY) from error
    match parsed.drivername:
        case "postgresql" | "postgresql+asyncpg" | "postgres":
            return Postgres(_dsn(parsed))
        case "sqlite" | "sqlite+aiosqlite" if parsed.database not in {None, "", ":memory:"}:
            return Sqlite(_file(str(parsed.database)))
        case "sqlite" | "sqlite+aiosqlite":
            raise Misconfigured("A database in memory would lose every job.", REMEDY)
        case scheme:
            raise Misconfigured(f"There is no store for {scheme}:// addresses.", REMEDY)


def _dsn(parsed: URL) -> str:
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def _file(name: str) -> Path:
    if sqlite3.sqlite_version_info < SQLITE_AT_LEAST:
        raise Misconfigured(
            f"This Python brings SQLite {sqlite3.sqlite_version}; Headrace needs 3.38.",
            "Use a newer Python, or PostgreSQL.",
        )
    return Path(name).expanduser().resolve()


def neighbours_on(file: Path) -> Neighbours:
    return _neighbours.setdefault(file, Neighbours())


# The one piece of module state: two stores of one process must meet at the file they share.
_neighbours: Final[weakref.WeakValueDictionary[Path, Neighbours]] = weakref.WeakValueDictionary()


def engine_for(place: Place, limits: Limits, *, begin: str = "BEGIN IMMEDIATE") -> AsyncEngine:
    match place:
        case Postgres():
            return _postgres_engine(place, limits)
        case Sqlite():
            return _sqlite_engine(place, limits, begin)


def _postgres_engine(place: Postgres, limits: Limits) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(place, limits),
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_wait_s,
        pool_use_lifo=True,  # idle connections grow old instead of all staying half warm
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,  # prompts and results stay out of errors and logs
    )


async def connect(place: Postgres, limits: Limits) -> asyncpg.Connection:
    """A connection as every part of the store has it: with limits on both sides of the wire."""
    return await asyncpg.connect(
        place.dsn,
        timeout=limits.connect_s,
        command_timeout=limits.command_s,
        server_settings={
            "application_name": "headrace",
            "timezone": "UTC",
            "jit": "off",  # short statements all; compiling them costs more than it saves
            "statement_timeout": _ms(limits.statement_s),
            "lock_timeout": _ms(limits.lock_s),
            "idle_in_transaction_session_timeout": _ms(limits.idle_in_transaction_s),
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    )


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _sqlite_engine(place: Sqlite, limits: Limits, begin: str) -> AsyncEngine:
    place.file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(place.file)),
        pool_size=1,  # the gate lets one in; other processes have their own
        max_overflow=0,
        pool_timeout=limits.pool_wait_s,
        connect_args={"timeout": limits.lock_s},
        hide_parameters=True,
    )

    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    def begin_as_told(connection: Connection) -> None:
        # The driver's own BEGIN takes no lock until the first write, and then what was read
        # before it may be out of date: updates would be lost without an error.
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", set_up)
    event.listen(engine.sync_engine, "begin", begin_as_told)
    return engine
