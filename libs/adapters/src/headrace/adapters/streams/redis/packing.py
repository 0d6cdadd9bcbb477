"""A batch's append as it goes over the wire, packed by hand, which takes half as long as word by word.

What is the same for every batch is packed once.
"""

from __future__ import annotations

from headrace.adapters.redis.commands import Packed
from headrace.contracts.logs import live_channel, log_key
from headrace.core.ports.streams import Batch


class Packing:
    """EVALSHA of `contracts.logs.APPEND`, with its arguments in the order that it says."""

    def __init__(self, digest: str, *, prefix: str, maxlen: int, ttl_ms: int) -> None:
        self._prefix = prefix
        self._script = _bulks("EVALSHA", digest, "1")
        self._bounds = _bulks(str(maxlen), str(ttl_ms))

    def append(self, batch: Batch) -> Packed:
        key = log_key(self._prefix, batch.job).encode()
        channel = live_channel(self._prefix, batch.job).encode()
        epoch = b"%d" % batch.epoch
        first = b"" if batch.first_seq is None else b"%d" % batch.first_seq
        words = [
            b"*%d\r\n%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b$%d\r\n%b\r\n"
            % (
                *(9 + 2 * len(batch.frames), self._script),
                *(len(key), key, len(epoch), epoch, len(first), first),
                *(self._bounds, len(channel), channel),
            )
        ]
        for type_text, data in batch.frames:
            type_ = type_text.encode()
            words.append(b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(type_), type_, len(data), data))
        return Packed(key, b"".join(words))


def _bulks(*words: str) -> bytes:
    return b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)  # ASCII
