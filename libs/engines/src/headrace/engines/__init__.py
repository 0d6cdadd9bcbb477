"""GPU work as plain classes: the engine contract, the registry, and one folder a family."""
