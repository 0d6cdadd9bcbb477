"""An engine that says a text aloud."""
