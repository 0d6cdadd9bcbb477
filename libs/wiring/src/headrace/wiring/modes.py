"""The mode flag. Named here and in launch, and banned elsewhere by lint."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    MONOLITH = "MONOLITH"  # every role in one process, nothing else installed
    EDA = "EDA"  # one role a process, on RabbitMQ, Redis and PostgreSQL
