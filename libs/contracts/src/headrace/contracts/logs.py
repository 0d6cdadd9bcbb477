"""A job's log in Redis: where it is, and the one script that writes to it.

The script fences, appends, bounds, expires and publishes as one step. Whoever writes to logs uses it:
workers, the dispatcher, and producers outside.

A live message is `epoch-seq` of its first frame and a line feed, then for each frame the length of its type
(1 byte), the length of its data (4 bytes, big-endian), the type and the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final
from urllib.parse import urlsplit

from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, Position

MAXLEN: Final = 10_000  # frames of one log
LAST_EPOCH: Final = 2**53 - 1  # of a log that was discarded: a script counts in doubles
TTL_S: Final = 3600.0  # a log lives for so long after its last frame


def log_key(prefix: str, job: JobId) -> str:
    return f"{prefix}:{{{job}}}:log"


def live_channel(prefix: str, job: JobId) -> str:
    return f"{prefix}:{{{job}}}:live"


def each_node(url: str) -> list[str]:
    """`redis://a:6379,b:6379/0`, which names some nodes of a cluster, as one URL for each."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


# KEYS: log. ARGV: epoch, first seq ('' = after the top), maxlen, ttl in ms, channel, then
# type and data in turn. Answers 1 (applied) or 0 (stale).
#
# The log's last generated id is the fence: it outlives trimming. Numbered frames are added
# without asking for it, since Redis itself refuses an id that is not above it; only a refusal, or
# frames without a number, cost the question. The first frame decides for all, so a batch is
# never half refused.
APPEND: Final = """
local log, epoch, first = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local count, skip = (#ARGV - 5) / 2, 0
local function top()
  if redis.call('EXISTS', log) == 0 then return 0, 0 end
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local e, s = string.match(info[i + 1], '(%d+)-(%d+)')
      return tonumber(e), tonumber(s)
    end
  end
end
local function add(i, call)
  local id = string.format('%.0f-%.0f', epoch, first + i - 1)
  local t, d = ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  if i == count then
    return call('XADD', log, 'MAXLEN', '=', ARGV[3], id, 't', t, 'd', d)
  end
  return call('XADD', log, id, 't', t, 'd', d)
end
if count == 0 then return 1 end
if not first then
  local e, s = top()
  if e > epoch then return 0 end
  first = (e == epoch) and s + 1 or 1
end
local added = add(1, redis.pcall)
if added.err then
  if not string.find(added.err, 'equal or smaller', 1, true) then return added end
  local e, s = top()
  if e > epoch then return 0 end
  skip = s - first + 1
  if skip >= count then return 1 end
  add(skip + 1, redis.call)
end
local live = { string.format('%.0f-%.0f\\n', epoch, first + skip) }
for i = skip + 1, count do
  if i > skip + 1 then add(i, redis.call) end
  local t, d = ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  live[#live + 1] = struct.pack('>BI4', #t, #d) .. t .. d
end
redis.call('PEXPIRE', log, ARGV[4])
redis.call('PUBLISH', ARGV[5], table.concat(live))
return 1
"""


# KEYS: log. ARGV: ttl in ms. An empty log whose last generated id is above all that anybody may bring.
DISCARD: Final = f"""
redis.call('UNLINK', KEYS[1])
redis.call('XADD', KEYS[1], 'MAXLEN', '=', 0, '{LAST_EPOCH}-1', 't', '', 'd', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""


def sharded(script: str) -> str:
    """The same for a cluster, where a channel is served by one node, as the keys with its hash tag are.

    There PUBLISH would go to every node.
    """
    return script.replace("'PUBLISH'", "'SPUBLISH'")


_LENGTHS: Final = Struct(">BI")
_LENGTHS_SIZE: Final = _LENGTHS.size


def append_arguments(  # ARGV of the script, each by its name
    epoch: int,
    first_seq: int | None,
    frames: Sequence[tuple[str, bytes]],
    *,
    channel: str,
    maxlen: int = MAXLEN,
    ttl_ms: int,
) -> list[str | bytes | int]:
    """`first_seq` None: after the top."""
    first = "" if first_seq is None else first_seq
    head: list[str | bytes | int] = [epoch, first, maxlen, ttl_ms, channel]
    return head + [part for frame in frames for part in frame]


def read_message(message: bytes) -> Sequence[Entry]:
    """The entries in a live message; raises ValueError on what is none."""
    end = message.index(b"\n")
    epoch_text, seq_text = message[:end].split(b"-")
    epoch, seq = int(epoch_text), int(seq_text)
    entries: list[Entry] = []
    at = end + 1
    while at < len(message):
        type_size, data_size = _LENGTHS.unpack_from(message, at)
        data_at = at + _LENGTHS_SIZE + type_size
        type_ = message[at + _LENGTHS_SIZE : data_at].decode()
        at = data_at + data_size
        entries.append(Entry(Position(epoch, seq + len(entries)), type_, message[data_at:at]))
    return entries
