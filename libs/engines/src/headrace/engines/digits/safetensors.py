"""The safetensors format, of 32-bit floats alone: a header of JSON, then the numbers. Nothing in it can run."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headrace.engines.digits.arrays import Arrays, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH: Final = struct.Struct("<Q")
_MOST_HEADER: Final = 2**20
_ALIGNED: Final = 8
_FLOAT: Final = "F32"
_METADATA: Final = "__metadata__"


class _Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def write(tensors: Mapping[str, NDArray[Any]], about: Mapping[str, str]) -> bytes:
    """The same tensors give the same bytes, in the order of their names."""
    import numpy as np

    header: dict[str, Any] = {_METADATA: dict(about)}
    parts: list[bytes] = []
    end = 0
    for name in sorted(tensors):
        part = np.ascontiguousarray(tensors[name], dtype="<f4").tobytes()
        shape = list(tensors[name].shape)
        header[name] = _Tensor(_FLOAT, shape, (end, end := end + len(part)))
        parts.append(part)
    head = msgspec.json.encode(header)
    head += b" " * (-len(head) % _ALIGNED)
    return b"".join([_LENGTH.pack(len(head)), head, *parts])


def read(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """The tensors, and what is told about them. Raises Unreadable."""
    import numpy as np

    head, body = _parts(data)
    try:
        header = msgspec.json.decode(head, type=dict[str, msgspec.Raw])
        about = msgspec.json.decode(header.pop(_METADATA, b"{}"), type=dict[str, str])
        tensors = {name: msgspec.json.decode(raw, type=_Tensor) for name, raw in header.items()}
    except msgspec.DecodeError as error:
        raise Unreadable(f"its header is none of safetensors: {error}") from error
    arrays: Arrays = {}
    for name, tensor in tensors.items():
        begin, end = tensor.data_offsets
        if tensor.dtype != _FLOAT or not 0 <= begin <= end <= len(body):
            raise Unreadable(f"tensor {name!r} is not of 32-bit floats, or not all there")
        try:
            flat = np.frombuffer(body[begin:end], dtype="<f4")
            arrays[name] = flat.reshape(tensor.shape)
        except ValueError as error:
            raise Unreadable(f"tensor {name!r} does not fit its shape: {error}") from error
    return arrays, about


def _parts(data: bytes) -> tuple[bytes, bytes]:
    if len(data) < _LENGTH.size:
        raise Unreadable("this is shorter than any file of safetensors")
    (length,) = _LENGTH.unpack_from(data)
    if length > min(_MOST_HEADER, len(data) - _LENGTH.size):
        raise Unreadable("its header is longer than it may be, or than the file")
    begin = _LENGTH.size + length
    return data[_LENGTH.size : begin], data[begin:]
