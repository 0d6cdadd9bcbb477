"""Text that a database can keep. A client's is refused at the door; an engine's is mended here.

PostgreSQL keeps neither NUL nor a lone surrogate, and one such result would fail the whole batch it
is recorded in.
"""

from __future__ import annotations

import re
from typing import Any, Final

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


def storable(value: Any) -> Any:
    """A JSON value with what cannot be kept replaced by U+FFFD, at any depth."""
    match value:
        case str():
            return _UNSTORABLE.sub(_REPLACEMENT, value)
        case dict():
            return {storable(name): storable(each) for name, each in value.items()}
        case list():
            return [storable(each) for each in value]
        case _:
            return value
