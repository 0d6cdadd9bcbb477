"""An engine that turns texts into vectors."""
