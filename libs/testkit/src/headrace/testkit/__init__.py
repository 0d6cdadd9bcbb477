"""What tests share: conformance suites, builders, waits, servers found or started, and faults."""
