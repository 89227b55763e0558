"""Which starts of nodes have to be on record before the nodes may begin."""

from __future__ import annotations

from collections.abc import Iterable

from flowray.engine.events import Event, NodeStarted
from flowray.plan.types import Plan


def awaits_record(plan: Plan, events: Iterable[Event]) -> bool:
    """Whether one of these events is the start of a node that waits until that is written.

    Such a node runs at most once, whatever dies: when its start is not on record, it has not begun.
    """
    cautious = plan.cautious
    return bool(cautious) and any(isinstance(event, NodeStarted) and event.node in cautious for event in events)
