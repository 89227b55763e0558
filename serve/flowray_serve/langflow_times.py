"""Times as Langflow's clients read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(at: float) -> str:
    """A time as Langflow writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
