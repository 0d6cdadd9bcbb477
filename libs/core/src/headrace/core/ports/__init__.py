"""The roles that technology plays. Each port is defined by its conformance suite in testkit."""
