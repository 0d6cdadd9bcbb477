"""Streams in memory, for roles that share one process and one loop."""
