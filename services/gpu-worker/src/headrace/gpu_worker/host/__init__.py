"""Engines in child processes: what runs in the child, what keeps it, and what they say."""
