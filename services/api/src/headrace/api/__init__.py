"""The HTTP front doors: dialects over one job core, gateways to live streams, and the page."""
