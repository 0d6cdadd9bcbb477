"""A bus inside one event loop, shared by every role of a MONOLITH, that keeps the broker's promises."""

from headrace.adapters.bus.inprocess.bus import InProcessBus

__all__ = ["InProcessBus"]
