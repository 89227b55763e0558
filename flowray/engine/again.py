"""A run that begins where another one was: what finished before the chosen node is taken over, the rest runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flowray.engine.events import BranchStopped, ContextChanged, Event, NodeFinished, NodeStarted, Recorded
from flowray.engine.wiring import NodeSet, Wiring
from flowray.errors import InvalidRequestError
from flowray.flow.nearest import meant
from flowray.flow.types import NodeId
from flowray.plan.types import Plan


class UnknownNodeError(InvalidRequestError):
    """The run's flow has no such node, or it does not run."""

    code = "unknown_node"


def rerun_set(plan: Plan, start: NodeId) -> frozenset[NodeId]:
    """Return the nodes that run again when a run is repeated from `start`: it, and all that hangs on it.

    A loop runs its own body, so a node of a body means the whole loop.
    """
    if start not in plan.step_of:
        hint = meant(start, plan.step_of) or f" Its nodes are {', '.join(list(plan.step_of)[:20])}."
        raise UnknownNodeError(f"No node `{start[:80]}` runs in this flow.{hint}")
    wiring = Wiring(plan)
    loops = wiring.loops_around.get(start, frozenset())
    return _nodes(wiring, plan, wiring.downstream({start, *loops}))


def taken_over(plan: Plan, recorded: Iterable[Recorded], again: frozenset[NodeId]) -> tuple[Event, ...]:
    """Return what the new run's journal says of the nodes that do not run again, in the order it happened.

    Of a node that ran several times the last one counts; what had not finished runs.
    """
    told: dict[NodeId, list[Event]] = {}
    open_: dict[NodeId, list[Event]] = {}
    for one in recorded:
        match one.event:
            case NodeStarted(node=node) as event if node in plan.step_of and node not in again:
                open_[node] = [event]
            case BranchStopped(node=node) | ContextChanged(node=node) if node in open_:
                open_[node].append(one.event)
            case NodeFinished(node=node) as event if node in open_:
                told.pop(node, None)  # a node of a loop's body comes where it came last
                told[node] = [*open_.pop(node), replace(event, cached=True)]
            case ContextChanged(node=node) if node in told:
                told[node].append(one.event)  # what a node wrote is told once it has finished
            case _:
                continue
    return tuple(event for events in told.values() for event in events)


def _nodes(wiring: Wiring, plan: Plan, nodes: NodeSet) -> frozenset[NodeId]:
    return frozenset(node for step in plan.steps for node in wiring.among(step.id, nodes))
