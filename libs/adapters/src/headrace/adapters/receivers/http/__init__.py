"""Receivers by HTTP."""
