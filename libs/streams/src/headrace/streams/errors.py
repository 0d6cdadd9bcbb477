"""What a producer can meet: one root, three leaves."""

from __future__ import annotations


class ProducerError(Exception):
    """The root of what this library raises by itself."""


class Stopped(ProducerError):
    """Somebody asked for this task to end. Let it pass: `produce` ends the stream as cancelled and keeps it."""


class StreamOver(ProducerError):
    """This task has ended, or another producer has taken it over: nothing more of this one is shown."""


class StreamsUnavailable(ProducerError):
    """Redis did not answer for as long as the options allow. Watchers are told that the producer was lost."""
