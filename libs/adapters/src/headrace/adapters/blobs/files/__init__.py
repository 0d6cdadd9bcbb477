"""Blobs as files below one directory, for one machine or a shared volume."""
