"""Column types that mean the same in both databases: instants, JSON values and names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override


class Instant(TypeDecorator[datetime]):
    """An aware time. SQLite has no such type: there it is text of one width, so that it sorts."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime(timezone=True)
    cache_ok: bool | None = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return written(value) if dialect.name == "sqlite" else value

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class Json(TypeDecorator[Any]):
    """A JSON value: jsonb in PostgreSQL, text in SQLite. None is NULL, never JSON's null."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = JSONB(none_as_null=True)
    cache_ok: bool | None = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # Not SQLite's JSON: a cast to that has numeric affinity and would turn an object into 0.
        own = Text() if dialect.name == "sqlite" else JSONB(none_as_null=True)
        return dialect.type_descriptor(own)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return msgspec.json.decode(value)


# Names are compared byte by byte: fast, equal in both databases, and an operating system that
# learns new sorting rules cannot corrupt their indexes.
Name: Final = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
Number: Final = BigInteger().with_variant(Integer(), "sqlite")


def written(instant: datetime | None) -> str | None:
    """The text of an instant that both databases read, and that sorts as time does."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
