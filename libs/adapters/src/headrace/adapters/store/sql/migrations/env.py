"""Alembic's entry: it migrates the connection it is handed, and never opens one."""

from __future__ import annotations

from alembic import context

from headrace.adapters.store.sql import schema_whole  # noqa: F401  # all tables join the metadata
from headrace.adapters.store.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=False,
)
with context.begin_transaction():
    context.run_migrations()
