"""Whoever is called by webhooks."""
