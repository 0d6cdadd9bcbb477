"""The live view: in one process, or by Redis between several."""
