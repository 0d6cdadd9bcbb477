"""An engine that makes pictures larger."""
