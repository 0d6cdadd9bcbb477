"""Which schemas this build works on: its own, and the next one, which may only add to it (ADR 0007)."""

from __future__ import annotations

from typing import Final

from headrace.adapters.store.sql.errors import MIGRATE
from headrace.adapters.store.sql.schema import REVISION
from headrace.core.errors import Misconfigured

NEXT: Final = f"{int(REVISION) + 1:04}"


def check_revision(found: str | None) -> None:
    """Raises Misconfigured unless this build works on it."""
    if found in {REVISION, NEXT}:
        return
    if found is None or found < REVISION:
        problem = f"The database's schema is {found or 'empty'}; this build needs {REVISION}."
        raise Misconfigured(problem, MIGRATE)
    raise Misconfigured(
        f"The database's schema is {found}, newer than this build works on: {NEXT} at most.",
        "Run the build that migrated it, or the one before that.",
    )
