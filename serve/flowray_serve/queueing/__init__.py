"""Runs that outlive who asked for them: accepted, queued, leased to an engine, and told about when they are over."""
