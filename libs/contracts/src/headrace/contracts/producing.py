"""What a producer outside and the dispatcher tell each other: one Redis hash for each task.

The producer writes `epoch`, `name` and until when it is to be taken for alive (`until`, on Redis' own clock),
and at last its `end`. The dispatcher writes `stop` (please end) and `closed` (nobody speaks any more).
Every change is one script, so whoever comes second sees what the first one did.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from headrace.contracts.ids import JobId, Lane
from headrace.contracts.messages import JobError

OUTSIDE: Final = Lane("outside")  # no queue and no worker of ours: a producer comes by itself
MAX_OUTPUT_BYTES: Final = 2**20


class End(msgspec.Struct, frozen=True, tag_field="kind", tag="producer_end.v1", omit_defaults=True):
    """The producer's last word, said once."""

    outcome: Literal["succeeded", "failed", "cancelled"]
    output: dict[str, Any] | None = None
    error: JobError | None = None


def producer_key(prefix: str, job: JobId) -> str:
    return f"{prefix}:{{{job}}}:producer"


# KEYS: log, producer. ARGV: name, lease in ms, ttl in ms, channel. Answers {epoch} or {0}: it is over.
# The first frames are said here: `queued` in an empty log, and `started` in an epoch of its own, which
# shuts out whoever spoke before.
OPEN: Final = """
local log, producer = KEYS[1], KEYS[2]
local function say(position, t, d)
  redis.call('XADD', log, position, 't', t, 'd', d)
  local frame = struct.pack('>BI4', #t, #d) .. t .. d
  redis.call('PUBLISH', ARGV[4], position .. '\\n' .. frame)
end
local known = redis.call('HMGET', producer, 'epoch', 'closed', 'end')
if known[2] or known[3] then return {0} end
local epoch = tonumber(known[1] or 0)
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if top then
  local over = { succeeded = true, failed = true, cancelled = true, dead = true }
  if over[top[2][2]] then return {0} end
  epoch = math.max(epoch, tonumber(string.match(top[1], '^%d+')))
else
  say('0-1', 'queued', '{"type":"queued"}')
end
epoch = epoch + 1
local attempt = redis.call('HINCRBY', producer, 'attempts', 1)
local started = { type = 'started', worker = ARGV[1], attempt = attempt }
say(string.format('%.0f-1', epoch), 'started', cjson.encode(started))
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', producer, 'epoch', string.format('%.0f', epoch), 'name', ARGV[1])
redis.call('HSET', producer, 'until', string.format('%.0f', until_ms))
redis.call('PEXPIRE', producer, ARGV[3])
redis.call('PEXPIRE', log, ARGV[3])
return {epoch}
"""

# KEYS: producer. ARGV: epoch, lease in ms, ttl in ms, name, end ('' = not yet). Answers 0 (another speaks,
# or it is over), 1 (go on) or 2 (somebody wants it to stop). A hash that Redis lost is written anew.
RENEW: Final = """
local producer, epoch = KEYS[1], tonumber(ARGV[1])
local known = redis.call('HMGET', producer, 'epoch', 'closed', 'stop', 'end')
if known[4] then return known[4] == ARGV[5] and 1 or 0 end
if known[2] or tonumber(known[1] or 0) > epoch then return 0 end
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', producer, 'epoch', ARGV[1], 'name', ARGV[4])
redis.call('HSET', producer, 'until', string.format('%.0f', until_ms))
if ARGV[5] ~= '' then redis.call('HSET', producer, 'end', ARGV[5]) end
redis.call('PEXPIRE', producer, ARGV[3])
return known[3] and 2 or 1
"""

# KEYS: producer. Answers epoch, name, whether it is alive (1 or 0), its end, and whether it was told to stop.
LOOK: Final = """
local known = redis.call('HMGET', KEYS[1], 'epoch', 'name', 'until', 'end', 'stop')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = known[3] and tonumber(known[3]) >= now and 1 or 0
return { known[1], known[2], alive, known[4], known[5] }
"""

# KEYS: producer. ARGV: epoch, ttl in ms, 1 to spare one that is alive or has ended. Answers 1 (closed)
# or 0 (another came, or this one was heard of after all).
CLOSE: Final = """
local producer = KEYS[1]
local known = redis.call('HMGET', producer, 'epoch', 'until', 'end')
if tonumber(known[1] or 0) > tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '1' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if known[3] or (known[2] and tonumber(known[2]) >= now) then return 0 end
end
redis.call('HSET', producer, 'closed', 1)
redis.call('PEXPIRE', producer, ARGV[2])
return 1
"""

# KEYS: producer. ARGV: ttl in ms. A producer that is not there yet is told when it opens.
STOP: Final = """
redis.call('HSET', KEYS[1], 'stop', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""

# KEYS: producer. ARGV: ttl in ms. What it said is gone, and nobody opens it again.
FORGET: Final = """
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'closed', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
