"""Whether a step that failed is run again, after which pause, and what becomes of its nodes that nobody saw end."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from flowray.component.terms import Terms
from flowray.engine.bereft import bereft
from flowray.engine.commands import FinishRun, NoteDecision, PauseNode
from flowray.engine.events import Decision, FailureKind, StepFailed
from flowray.engine.remains import Remains, remains
from flowray.engine.state import State
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId

MOST_UNSTARTED: Final = 6
LONGEST_PAUSE_S: Final = 300.0
EFFECT: Final = "effect"
_SHORT_S = 0.1
_TROUBLE: Mapping[FailureKind, str] = {
    "lost": "lost",
    "timeout": "wall",
    "crashed": "crash",
    "memory": "memory",
    "component": "error",
}
_ACTIONS = {"replay": "Run it again", "skip": "Take it as done", "fail": "Fail the run"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """The step is run again, `after_s` seconds from now. `asks` are nodes that a person has to decide about first."""

    state: State
    after_s: float
    decisions: tuple[NoteDecision, ...] = ()
    asks: tuple[PauseNode, ...] = ()


def pause_s(base_s: float, times: int, seed: str) -> float:
    """Return the seconds before the next try: twice as long each time, and less by up to a half, at random by `seed`.

    The seed makes the pause a fact of the run: whoever folds its journal finds the same.
    """
    jitter = random.Random(seed).uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
    return min(base_s * 2.0 ** (times - 1), LONGEST_PAUSE_S) * jitter


def again(state: State, failed: StepFailed, attempt: int) -> Again | None:
    """Return how the failed step goes on, or None when that was its last chance."""
    step = failed.step
    trouble = failed.cause if failed.kind == "component" and failed.cause else _TROUBLE.get(failed.kind)
    midway = [node for node in state.wiring.plan.by_id[step].nodes if state.at_work.get(node)]
    blamed = [failed.node] if failed.node else midway
    terms = [state.wiring.plan.terms_of(node) for node in blamed] or [state.wiring.plan.usual]
    if trouble is None or not all(trouble in each.retry_on for each in terms):
        return None
    raised = failed.node is not None and failed.node not in midway
    if raised and terms[0].effect != "replay":
        return None
    names = blamed or [NodeId(step)]
    counted = _counted(state, names, terms) if not failed.orphaned else state
    if counted is None:
        return None
    times = max(counted.tries.get(name, 1) for name in names)
    after_s = 0.0 if failed.orphaned else _after_s(failed, terms, times, f"{state.seed}/{step}/{attempt}")
    return _decided(counted, failed, midway, attempt=attempt, after_s=after_s)


def decided_by_person(state: State, node: NodeId, decision: Json) -> tuple[State, FinishRun | None]:
    """Return the state after a person said what becomes of a node that was lost midway, and the run's end if it is."""
    action = decision.get("action_id") if isinstance(decision, dict) else None
    if action == "fail":
        error = f"`{node}` was lost midway, and somebody decided that the run fails of it."
        return state, FinishRun(status="failed", kind="lost", node=node, error=error)
    if action != "skip":
        return state, None
    passed = [node, *_own_body(state, state.wiring.plan.step_of[node], node)]
    state = replace(state, passed=state.passed | state.wiring.set_of(passed))
    return state, bereft(state, passed)


def _counted(state: State, blamed: Collection[NodeId], terms: Collection[Terms]) -> State | None:
    tries = {str(node): state.tries.get(node, 0) + 1 for node in blamed}
    if any(count >= each.attempts for count, each in zip(tries.values(), terms, strict=True)):
        return None
    return replace(state, tries=state.tries.with_(tries))


def _after_s(failed: StepFailed, terms: Collection[Terms], times: int, seed: str) -> float:
    base_s = _SHORT_S if failed.kind == "lost" else max(each.backoff_s for each in terms)
    return pause_s(base_s, times, seed)


def _decided(
    state: State, failed: StepFailed, midway: Collection[NodeId], *, attempt: int, after_s: float
) -> Again | None:
    """Decide about each node that was started and is to run (again)."""
    passed = {node for node in midway if _effect(state, node) == "skip" and not _body_of(state, node)}
    passed |= {other for node in passed for other in _own_body(state, failed.step, node)}
    state = replace(state, passed=state.passed | state.wiring.set_of(passed))
    left = remains(state, failed.step)
    why = failed.error
    decisions = [NoteDecision(node=node, decision="skip", why=why) for node in sorted(passed)]
    asks: list[PauseNode] = []
    for node in sorted(node for node in left.run if state.at_work.get(node) is not None):
        decision = _decision(state, node, left, midway)
        if decision == "ask" and failed.kind == "component" and node not in midway:
            return None  # what a person would be asked about had ended, and only a retry would run it again
        if decision is not None:
            decisions.append(NoteDecision(node=node, decision=decision, why=why))
        if decision == "ask":
            asks.append(PauseNode(node=node, request=_request(state, node, attempt, why)))
    ended = dict.fromkeys(midway, False)
    state = replace(state, at_work=state.at_work.with_(ended))
    return Again(state=state, after_s=after_s, decisions=tuple(decisions), asks=tuple(asks))


def _decision(state: State, node: NodeId, left: Remains, midway: Collection[NodeId]) -> Decision | None:
    if _effect(state, node) != "replay":
        return "ask"
    if node in left.rebuilt:
        return "rebuild"
    return "replay" if node in midway else None


def _effect(state: State, node: NodeId) -> str:
    return state.wiring.plan.terms_of(node).effect


def _body_of(state: State, node: NodeId) -> frozenset[NodeId]:
    """The loops in whose body a node is, the node itself aside."""
    return state.wiring.loops_around.get(node, frozenset()) - {node}


def _own_body(state: State, step: StepId, loop: NodeId) -> list[NodeId]:
    return [node for node in state.wiring.plan.by_id[step].nodes if loop in _body_of(state, node)]


def _request(state: State, node: NodeId, attempt: int, why: str) -> Json:
    """What a person is asked about a node of which nobody knows whether its effect took place."""
    return {
        "request_id": f"{node}:{state.seed}:{EFFECT}:{attempt}",
        "kind": EFFECT,
        "prompt": f"`{node}` had started and did not end ({why.rstrip('.')}). Nobody knows what it has done. What now?",
        "options": [{"action_id": action, "label": label} for action, label in _ACTIONS.items()],
        "allowed_decisions": list(_ACTIONS),
    }
