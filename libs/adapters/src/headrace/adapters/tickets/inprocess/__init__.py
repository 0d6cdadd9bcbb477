"""Tickets in memory, for an api that is alone."""
