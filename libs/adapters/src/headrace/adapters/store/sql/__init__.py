"""The store on PostgreSQL or SQLite: one schema, one set of statements, chosen by URL."""

from headrace.adapters.store.sql.migrate import migrate
from headrace.adapters.store.sql.store import SqlStore, open_sql_store

__all__ = ["SqlStore", "migrate", "open_sql_store"]
