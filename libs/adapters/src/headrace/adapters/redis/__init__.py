"""A Redis, or a cluster of them: connections, and the way to the node that has a key."""
