"""Alembic's entry: it migrates the connection it is handed, and never opens one."""

from __future__ import annotations

from alembic import context

from headrace.adapters.store.sql import (
    schema_around,  # noqa: F401  # its tables join the metadata
    schema_batches,  # noqa: F401  # so do these
    schema_deletions,  # noqa: F401  # and these
    schema_remote,  # noqa: F401  # and these
    schema_rollout,  # noqa: F401  # and these
    schema_runs,  # noqa: F401  # and these
    schema_uploads,  # noqa: F401  # and these
    schema_users,  # noqa: F401  # and these
)
from headrace.adapters.store.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=False,
)
with context.begin_transaction():
    context.run_migrations()
