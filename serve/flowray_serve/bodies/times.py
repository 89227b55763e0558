"""Times as callers write them: one that names no zone is in UTC, as all that they are told."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(at: datetime) -> float:
    """A time as seconds since the epoch."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
