"""Nodes that cannot run without the value of a node that was passed over: then the run ends, and says so."""

from __future__ import annotations

from collections.abc import Collection

from flowray.engine.commands import FinishRun
from flowray.engine.remains import is_done
from flowray.engine.state import State
from flowray.flow.types import Edge, NodeId


def bereft(state: State, passed: Collection[NodeId]) -> FinishRun | None:
    """Return the verdict when nodes were `passed` over and one that still has to run needs a value of theirs.

    Its code would be given nothing, and fail with something that nobody understands.
    """
    for edge in state.wiring.plan.edges if passed and state.unfed else ():
        if edge.source in passed and (edge.target, edge.field) in state.unfed and _misses_it(state, edge):
            return FinishRun(status="failed", kind="skipped", node=edge.source, error=_why(edge))
    return None


def _misses_it(state: State, edge: Edge) -> bool:
    out = state.closed | state.passed
    if edge.feedback or state.wiring.set_of([edge.target]) & out or is_done(state, edge.target):
        return False
    others = [other for other in state.wiring.plan.edges if (other.target, other.field) == (edge.target, edge.field)]
    return not any(state.wiring.set_of([other.source]) & ~out for other in others)


def _why(edge: Edge) -> str:
    return (
        "it had started and did not end, and it is not run again, so nobody knows what it has done and it gives no "
        f"value. `{edge.target}` needs one at `{edge.field}`, and has nothing else there. See what was done, then run "
        "the flow again; give that field a value in the flow, and such a run goes on without this node's."
    )
