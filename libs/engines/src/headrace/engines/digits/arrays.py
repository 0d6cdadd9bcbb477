"""Arrays and what belongs to them as one file of bytes: an .npz, read without unpickling anything."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from headrace.engines.engine import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"
_ABOUT: Final = "about"
_MOST_BYTES: Final = 256 * 2**20  # unpacked: an archive may claim to be anything
_TYPES: Final = frozenset("fiub")  # numbers and truth values; never objects


class Unreadable(EngineError):
    """These bytes are not what they should be."""


def pack(arrays: Mapping[str, NDArray[Any]], about: Any) -> bytes:
    """The same arrays give the same bytes. `about` is JSON, or a Struct."""
    import numpy as np

    told = np.frombuffer(msgspec.json.encode(about), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{**arrays, _ABOUT: told})
    return file.getvalue()


def unpack(data: bytes) -> tuple[Arrays, bytes]:
    """The arrays, and what is told about them as JSON. Raises Unreadable."""
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise Unreadable(f"unpacked it has more than {_MOST_BYTES} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise Unreadable(f"this is no .npz of numbers: {error}") from error
    about = arrays.pop(_ABOUT, None)
    if about is None or any(array.dtype.kind not in _TYPES for array in arrays.values()):
        raise Unreadable("it lacks what is told about its arrays, or holds more than numbers")
    return arrays, about.tobytes()
