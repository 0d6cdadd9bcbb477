"""Streams by Redis: one Redis Stream and one channel for each job."""
