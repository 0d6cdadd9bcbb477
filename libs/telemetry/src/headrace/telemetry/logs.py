"""Log lines: JSON for machines, colours for a terminal; every one with its trace and job."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TypeAlias

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from headrace.core.errors import HeadraceError

Format: TypeAlias = Literal["json", "console"]
Log: TypeAlias = structlog.typing.FilteringBoundLogger


def configure(service: str, *, level: str, format: Format) -> None:  # noqa: A002  # the setting's name
    """Send structlog and the standard library's records through one chain, to stderr."""
    chain = _chain(service)
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*chain, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    _quieten()


def get_logger(name: str) -> Log:
    log: Log = structlog.get_logger(name)
    return log


def trace_of(error: Exception) -> Exception | None:
    """What to log as `exc_info`: nothing for an error of ours, whose message says it all."""
    return None if isinstance(error, HeadraceError | TimeoutError) else error


def _chain(service: str) -> list[Processor]:
    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_trace,
        structlog.processors.format_exc_info,
    ]


def _renderers(format: Format) -> list[Processor]:  # noqa: A002  # the setting's name
    if format == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.JSONRenderer(serializer=_dumps)]


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
        event.setdefault("span_id", f"{context.span_id:016x}")
    return event


def _dumps(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def _quieten() -> None:
    """Libraries that narrate: their warnings are enough, ours say what matters."""
    for name in ("aio_pika", "aiormq", "httpx", "httpcore", "alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It repeats as a log record what the exporter's caller can do nothing about, for every batch.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
