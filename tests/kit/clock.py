"""Time that a test turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Says `now`, in seconds, until a test says otherwise."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
