"""Write to Headrace's live streams from any process: three lines in a Celery task or a script.

    with produce(task_id) as answer:
        for token in tokens:
            answer.append(token)

Whoever watches sees each chunk as it is written. Leaving the block ends the stream, once: it succeeded with
the text that was written, or failed with the exception that passed.
"""

from headrace.contracts.frames import Log, Metric, Preview, Progress, Token
from headrace.streams.asynchronous import AsyncProducer, produce_async
from headrace.streams.errors import ProducerError, Stopped, StreamOver, StreamsUnavailable
from headrace.streams.options import Options
from headrace.streams.producer import Producer, produce

__all__ = [
    "AsyncProducer",
    "Log",
    "Metric",
    "Options",
    "Preview",
    "Producer",
    "ProducerError",
    "Progress",
    "Stopped",
    "StreamOver",
    "StreamsUnavailable",
    "Token",
    "produce",
    "produce_async",
]
