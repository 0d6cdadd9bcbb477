"""What an engine's exception means for its job."""

from __future__ import annotations

import traceback
from typing import Final

from headrace.contracts.messages import JobError
from headrace.engines.engine import BadInput, OutOfMemory, TryAgain

MAX_MESSAGE: Final = 1_000
MAX_DETAIL: Final = 6_000
# Also torch.cuda.OutOfMemoryError and its kin, without importing what defines them.
_MEMORY_NAMES: Final = frozenset({"OutOfMemory", "OutOfMemoryError", "MemoryError"})


def explain(error: BaseException) -> JobError:
    message = shortened(str(error) or type(error).__name__, MAX_MESSAGE)
    match error:
        case BadInput():
            return JobError("input", message, field=error.field)
        case TryAgain():
            return JobError("transient", message)
        case OutOfMemory():
            return JobError("resource", message)
        case _ if type(error).__name__ in _MEMORY_NAMES:
            return JobError("resource", message, detail=_trace(error))
        case _:
            said = f"{type(error).__name__}: {message}"
            return JobError("internal", said, detail=_trace(error))


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _trace(error: BaseException) -> str:
    """The end of the traceback: the beginning is ours and of no interest."""
    return "".join(traceback.format_exception(error))[-MAX_DETAIL:]
