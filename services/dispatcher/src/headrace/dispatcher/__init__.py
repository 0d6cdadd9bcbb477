"""The one writer of job state: offers, claims and leases, results, retries, the sweeper."""
