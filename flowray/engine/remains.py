"""What is left of a step: its nodes that have still to run, and what they are given instead of the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from flowray.engine.commands import StartStep
from flowray.engine.state import State
from flowray.engine.traffic import Traffic
from flowray.engine.values import Value
from flowray.engine.wiring import NodeSet
from flowray.flow.types import NodeId
from flowray.plan.types import StepId

_NONE: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """A step's nodes, sorted.

    `run` are to run now; `rebuilt` are those among them that had finished, but gave something that lives only inside a
    sandbox. `done` are finished, `closed` never run. `waiting` wait for a decision or a time, `later` for them.
    """

    run: frozenset[NodeId]
    rebuilt: frozenset[NodeId] = _NONE
    done: frozenset[NodeId] = _NONE
    closed: frozenset[NodeId] = _NONE
    waiting: frozenset[NodeId] = _NONE
    later: frozenset[NodeId] = _NONE


def remains(state: State, step: StepId) -> Remains:
    """Return what is left of a step."""
    nodes = state.wiring.plan.by_id[step].nodes
    waiting = frozenset(node for node in nodes if _waits(state, node)) if _may_wait(state) else _NONE
    if not waiting and not any(node in state.at_work for node in nodes):
        closed = state.wiring.among(step, state.closed | state.passed)
        return Remains(run=frozenset(nodes) - closed, closed=closed)
    done = frozenset(node for node in nodes if is_done(state, node))
    closed = state.wiring.among(step, closed_now(state, done)) - done
    left = frozenset(nodes) - done - closed
    waiting &= left
    later = left & _behind(state, step, waiting) if waiting else _NONE
    rebuilt = _rebuilt(state, step, left - later, done)
    return Remains(
        run=(left - later) | rebuilt, rebuilt=rebuilt, done=done - rebuilt, closed=closed, waiting=waiting, later=later
    )


def is_done(state: State, node: NodeId) -> bool:
    """Whether a node has finished for good: a loop's body has when the loop has."""
    loops = state.wiring.loops_around.get(node)
    if loops:
        return all(loop in state.outputs and not state.at_work.get(loop) for loop in loops)
    return node in state.outputs and not state.at_work.get(node)


def closed_now(state: State, done: Collection[NodeId]) -> NodeSet:
    """What is closed, also by nodes of a step that is not over yet."""
    closed = state.closed | state.passed
    for node in done if state.stopped else ():
        if outputs := state.stopped.get(node):
            closed |= state.wiring.behind(node, outputs)
    return closed


def start_of(
    state: State, step: StepId, attempt: int, left: Remains, *, after_s: float = 0.0
) -> tuple[State, StartStep]:
    """Return the command that runs what is left of a step, and the state after what it is lent for that."""
    wiring = state.wiring
    upstream: dict[NodeId, dict[str, Value]] = {}
    edges = wiring.reads.get(step, ())
    for edge in (*edges, *wiring.inside.get(step, ())) if left.done else edges:
        value = state.outputs.get(edge.source, {}).get(edge.output)
        if value is not None and edge.target in left.run and edge.source not in left.run:
            upstream.setdefault(edge.source, {})[edge.output] = value
    state, traffic = _lent(state, step)
    return state, StartStep(
        step=step,
        attempt=attempt,
        after_s=after_s,
        upstream=upstream,
        skip=left.closed,
        done=left.done,
        later=left.later,
        context=dict(state.context),
        answers=dict(state.answers),
        states={node: state.states[node] for node in left.run if node in state.states} if state.states else {},
        traffic=traffic,
    )


def _lent(state: State, step: StepId) -> tuple[State, Traffic | None]:
    if state.purse is None:
        return state, None
    wiring = state.wiring
    purse, part = state.purse.lend(step, own=wiring.steps_set_of([step]), beside=wiring.beside(step))
    return replace(state, purse=purse), part


def _may_wait(state: State) -> bool:
    return bool(state.asked) or state.wiring.sleepers != 0


def _waits(state: State, node: NodeId) -> bool:
    if state.asked.get(node) is not None:
        return True
    return node not in state.woken and node not in state.at_work and state.wiring.plan.terms_of(node).wait_s > 0


def _behind(state: State, step: StepId, waiting: frozenset[NodeId]) -> frozenset[NodeId]:
    """What hangs on waiting nodes. A loop waits with its body: it runs that itself."""
    around = state.wiring.loops_around
    loops = {loop for node in waiting for loop in around.get(node, ())}
    return state.wiring.among(step, state.wiring.downstream(waiting | loops))


def _rebuilt(state: State, step: StepId, run: frozenset[NodeId], done: frozenset[NodeId]) -> frozenset[NodeId]:
    """Finished nodes whose live objects are needed: they run again, and so does what feeds them such objects."""
    feeds: dict[NodeId, list[tuple[NodeId, str]]] = {}
    for edge in state.wiring.inside.get(step, ()):
        if edge.source in done:
            feeds.setdefault(edge.target, []).append((edge.source, edge.output))
    rebuilt: set[NodeId] = set()
    looked_at, to_look_at = set(run), list(run)
    while to_look_at:
        for source, port in feeds.get(to_look_at.pop(), ()):
            value = state.outputs[source].get(port)
            if value is None or not value.is_live:
                continue
            again = _circle(state, step, source) | {source}
            rebuilt |= again
            to_look_at.extend(again - looked_at)
            looked_at |= again
    return frozenset(rebuilt)


def _circle(state: State, step: StepId, node: NodeId) -> set[NodeId]:
    """A loop runs again with its body."""
    around = state.wiring.loops_around
    loops = around.get(node)
    if not loops:
        return set()
    return {other for other in state.wiring.plan.by_id[step].nodes if loops & around.get(other, frozenset())}
