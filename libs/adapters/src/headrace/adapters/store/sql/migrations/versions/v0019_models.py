"""Registered models: versions, routes, feedback, and who serves them. Adds only: the build before works on it too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0019"
down_revision: Final = "0018"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
JSON: Final = JSONB().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    _of_jobs()
    _of_models()
    _of_engines_and_results()


def _of_models() -> None:
    op.create_table(
        "models",
        *_of_model(),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("route", sa.Integer(), nullable=False),
        sa.Column("shared_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="models_pkey"),
    )
    _partial("models_shared", "models", ["name"], "shared_at IS NOT NULL", unique=True)
    op.create_table(
        "model_versions",
        *_of_model(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("blob", NAME, nullable=False),
        sa.Column("format", NAME, nullable=False),
        sa.Column("sha256", NAME, nullable=False),
        sa.Column("bytes", NUMBER, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("job", NAME),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.Column("retired_by", NAME),
        sa.PrimaryKeyConstraint("tenant", "name", "number", name="model_versions_pkey"),
    )
    op.create_table(
        "model_routes",
        *_of_model(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("weights", JSON, nullable=False),
        sa.Column("how", NAME, nullable=False),
        sa.Column("restores", sa.Integer()),
        sa.Column("changed_by", NAME, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "number", name="model_routes_pkey"),
    )


def _of_engines_and_results() -> None:
    op.create_table(
        "feedback",
        sa.Column("job", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job", "name", name="feedback_pkey"),
    )
    op.create_table(
        "formats",
        sa.Column("lane", NAME, nullable=False),
        sa.Column("format", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("input_schema", JSON, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("lane", "format", name="formats_pkey"),
    )


def _of_jobs() -> None:
    op.add_column("jobs", sa.Column("register_as", NAME))
    op.add_column("jobs", sa.Column("artefact", JSON))
    op.add_column("jobs", sa.Column("version", NAME))
    _partial("jobs_of_version", "jobs", ["version", "finished_at"], "version IS NOT NULL")


def _of_model() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("tenant", NAME, nullable=False), sa.Column("name", NAME, nullable=False)


def _partial(
    name: str, table: str, columns: list[str], where: str, *, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition
    )
