"""The whole schema at once, for a database that has nothing of ours yet.

The migrations lead to the same, and a test holds the two together; one by one they take ten times as
long, and most databases that are ever made belong to a first try or to a test.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)

from headrace.adapters.store.sql import (
    schema_around,  # noqa: F401  # its tables join the metadata
    schema_batches,  # noqa: F401  # so do these
    schema_deletions,  # noqa: F401  # and these
    schema_remote,  # noqa: F401  # and these
    schema_rollout,  # noqa: F401  # and these
    schema_runs,  # noqa: F401  # and these
    schema_uploads,  # noqa: F401  # and these
)
from headrace.adapters.store.sql.schema import REVISION, metadata
from headrace.adapters.store.sql.schema_users import users
from headrace.core.ports.users import ANONYMOUS, ANONYMOUS_TENANT

_version: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_NOW: Final = {
    "postgresql": "now()",
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')",  # as an Instant is written
}


def revision_of(connection: Connection) -> str | None:
    """None: nothing of ours is there."""
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar_one_or_none()


def make_whole(connection: Connection) -> None:
    """In the transaction that is open: all of it or nothing."""
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection, checkfirst=False)
    # Who shows no key: little at a time, and at nobody's cost.
    nobody = {
        "number": ANONYMOUS,
        "tenant": ANONYMOUS_TENANT,
        "alias": "Anonymous",
        "concurrency": 20,
        "trusted": 0,
        "moderator": 0,
        "balance": 0,
        "held": 0,
        "created_at": text(_NOW[connection.dialect.name]),
    }
    connection.execute(insert(users).values(nobody))
    connection.execute(insert(_version), {"version_num": REVISION})
