"""Runs as traces, on their way to an OpenTelemetry collector."""
