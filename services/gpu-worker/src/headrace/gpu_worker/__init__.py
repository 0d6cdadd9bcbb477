"""The worker: takes offers, claims jobs, hosts engines in child processes, reports what happens."""
