"""Adapters of the port `store`."""
