"""An engine that says back what it is told, and fails as it is told."""
