"""Notes that are taken once, for one process or for many."""
