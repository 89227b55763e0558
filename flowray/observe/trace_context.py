"""Which trace a run is part of, in the words of W3C Trace Context, and whether that trace is kept.

Ids follow from names, so that whoever knows a run's id and a step's knows their spans.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from flowray.engine.drawing import is_drawn, number_of
from flowray.engine.events import Recorded, RunAccepted

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]([0-9a-f])(-.*)?")
# The four fields that every version has.
TRACEPARENT_CHARS: Final = 55
_SAMPLED = 1


class Above(NamedTuple):
    """The span that a run is part of, as a W3C `traceparent` names it."""

    trace: int
    span: int
    is_sampled: bool


def above(traceparent: str) -> Above | None:
    """What a `traceparent` says; None for what is none, which W3C has receivers pass over.

    Of a later version than 00 the same four fields are read, whatever comes after another dash.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[4] and traceparent.startswith("00")):
        return None
    return Above(int(found[1], 16), int(found[2], 16), bool(int(found[3], 16) & _SAMPLED))


def below(said: str, run: str, step: str) -> str:
    """The `traceparent` of what a step of a run starts; `said` is the run's own."""
    over = above(said)
    trace = over.trace if over else trace_of(run)
    is_sampled = over is None or over.is_sampled
    return f"00-{trace:032x}-{number_of(run, step):016x}-{int(is_sampled):02x}"


def trace_of(run: str) -> int:
    """The trace of a run that nobody's trace has: its own id, as a number."""
    try:
        return uuid.UUID(run).int or 1
    except ValueError:
        return number_of("trace", run, size=16)


def is_kept(recorded: Sequence[Recorded], share: float) -> bool:
    """Whether a run's trace is one of the `share` that is kept: decided by its trace, so that all of it is or none."""
    accepted = recorded[0].event if recorded else None
    if not isinstance(accepted, RunAccepted):
        return False
    over = above(accepted.trace)
    if over is not None and not over.is_sampled:
        return False
    trace = over.trace if over else trace_of(recorded[0].run)
    # Not the number itself: of a random UUID some bits are always the same.
    return is_drawn(share, "kept", f"{trace:032x}")
