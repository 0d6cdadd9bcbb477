"""Logs and traces: structlog and OpenTelemetry set-up, context in headers, wrappers around ports."""
