"""Which roles share this process, and the `headrace` command line."""
