"""The 72 faults by number, and why some of them are not injected here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LIST: Final = """\
api killed before the job row commits
api killed after commit, before the reply
api killed while streaming
Client repeats a POST with the same key, 20 times in parallel
Same key, other body; same key, other tenant
Client retries after 1 s, 1 h, 23 h
Offers published, dispatcher killed before they are marked sent
Offers reserved, dispatcher killed before they are published
Three dispatchers at once
A transaction with a lower number commits later than a higher one
Dispatcher killed at each step
Worker killed before its claim
Worker killed after the claim is committed, before the ack
Worker killed after the ack, before the engine starts
Worker killed mid-tokens
Dispatcher killed after the result is committed, before the terminal frame
Engine's process crashes or is killed
Worker frozen longer than its lease, then resumed
Worker's event loop blocked
Database unreachable for those who use it, connections open
Worker cut from RabbitMQ only
Worker cut from Redis only
Job longer than the broker's ack timeout
Broker restarted cleanly
Broker killed
Broker down while jobs arrive
Broker frozen
Broker's memory alarm, with publishes and acks running
Broker's disk alarm
Broker's disk really full
All AMQP connections closed again and again
Channel closed by 406 / 404
Queues deleted under their consumers
Queue missing: a message is unroutable
Queue declared with other arguments by an older build
Half-open AMQP connections
Duplicate deliveries: each message three times
Messages late and out of order
Messages malformed: bad JSON, wrong schema, future version, empty, a bit flipped
Unknown job in a message
Message of 17 MiB
Poison job beside good ones
Dead-letter queue missing when a message is parked
Retry ladder with republished x-death
10,000 messages expire at once from a retry queue
Redis killed and restarted empty
Redis restarted from an AOF, last second lost
FLUSHALL mid-stream
Redis out of memory
Redis frozen
Pub/Sub connections killed at random, 20-80 ms, whole run
Reader slower than the producer: api frozen
Replay log expired before a resume
PostgreSQL backend killed
PostgreSQL restarted, fast and immediate
PostgreSQL failover to a standby
COMMIT sent, reply cut
PostgreSQL connections exhausted
Long lock on the jobs table
PostgreSQL's disk full
Latency 300 ms +- 200 and 1 % resets on all links
Everything partitioned from everything, then healed
Wall clock jumps or drifts on one process
Suspend of a whole worker group
SIGTERM to each process under load, one by one
SIGTERM, then SIGKILL at the drain timeout
Version skew of one release; migration mid-flight; roll back
Switch EDA to MONOLITH with jobs queued and running
Switch back before the first switch has drained
Both modes running at once
Many clients dropped and reconnecting at once; some that never read
Cancel storms: before claim, at claim, mid-token, at finish, after, 50 times the same
"""
FAULTS: Final[Mapping[int, str]] = dict(enumerate(_LIST.splitlines(), start=1))

NOT_RUN: Final[Mapping[int, str]] = {
    44: "does not apply: retries are rows, and no message is republished with its headers",
    45: "does not apply: there is no retry queue whose messages could expire",
}
