"""Engines that write: a small model of our own, and any OpenAI-compatible server."""
