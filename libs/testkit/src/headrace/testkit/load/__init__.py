"""Load campaigns: what is asked of the service, what was seen, and whether that is good enough."""
