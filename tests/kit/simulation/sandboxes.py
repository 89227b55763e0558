"""A sandbox of the simulated world: runs a part of a step, one event at a time, and may fail on the way."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field

from flowray.component.terms import PROVIDER_TROUBLES
from flowray.engine.commands import StartStep
from flowray.engine.events import (
    BranchStopped,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    StepEvent,
    StepFailed,
    StepFinished,
    StepPaused,
    StepStarted,
)
from flowray.engine.values import Value
from flowray.engine.wiring import Wiring
from flowray.flow.types import Json, NodeId
from flowray.plan.types import Plan
from tests.kit.simulation.plans import Drawing, inputs_of

_OPAQUE = {"$flowray": "opaque", "value": "Thing"}
_LOOPS = 3


@dataclass
class Outside:
    """The world outside the engine, which remembers everything: each time that a node did something."""

    drawing: Drawing
    plan: Plan
    trouble: float = 0.0
    did: Counter[NodeId] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.wiring = Wiring(self.plan)
        self.feeds = inputs_of(self.plan)

    def run(self, start: StartStep, rng: random.Random) -> Iterator[StepEvent]:
        """What a sandbox tells that is given this part of a step."""
        if rng.random() < self.trouble / 4:
            yield StepFailed(step=start.step, kind="unavailable", error="nobody", retryable=True, attempt=start.attempt)
            return
        yield StepStarted(step=start.step, attempt=start.attempt, runner="simulated")
        yield from Sandbox(self, start, rng).events()


class Sandbox:
    """One part of one step."""

    def __init__(self, outside: Outside, start: StartStep, rng: random.Random) -> None:
        self._outside = outside
        self._start = start
        self._rng = rng
        self._made: dict[NodeId, Mapping[str, Json]] = {}
        self._closed = 0
        step = outside.plan.by_id[start.step]
        self._nodes = [node for node in step.nodes if node not in start.skip | start.done | start.later]

    def events(self) -> Iterator[StepEvent]:
        """All nodes, each after those that feed it, and one end."""
        bodies = {self._outside.drawing.loops[node] for node in self._nodes if node in self._outside.drawing.loops}
        waiting = set[NodeId]()
        for node in self._nodes:
            if node in bodies or node in self._outside.wiring.among(self._start.step, self._closed):
                continue
            if any(edge.source in waiting for edge in self._outside.feeds.get(node, ())):
                waiting.add(node)
                continue
            if self._pauses(node):
                waiting.add(node)
                yield NodeStarted(node=node)
                yield NodePaused(node=node, request={"request_id": f"{node}:r", "kind": "node_input"})
                continue
            failed = yield from self._run(node)
            if failed is not None:
                yield failed
                return
        end = StepPaused if waiting else StepFinished
        yield end(step=self._start.step, attempt=self._start.attempt)

    def _pauses(self, node: NodeId) -> bool:
        return node in self._outside.drawing.asks and f"{node}:r" not in self._start.answers

    def _run(self, node: NodeId) -> Generator[StepEvent, None, StepFailed | None]:
        yield NodeStarted(node=node)
        self._outside.did[node] += 1
        # What may not happen twice is not tried again when it raised: such a run fails, rightly.
        replays = self._outside.plan.terms_of(node).effect == "replay"
        if replays and self._rng.random() < self._outside.trouble:
            return (yield from self._raise(node))
        body = self._outside.drawing.loops.get(node)
        for turn in range(_LOOPS if body is not None else 0):
            assert body is not None
            yield NodeStarted(node=body)
            yield NodeFinished(node=body, outputs={"out": Value(type="text", json=self._text(body, str(turn)))})
        if node in self._outside.drawing.routers:
            port = ("yes", "no")[int(self._text(node), 16) % 2]
            stopped = self._outside.wiring.behind(node, {port})
            self._closed |= stopped
            yield BranchStopped(node=node, output=port, nodes=())
        outputs = {port: self._text(node, port) for port in ("out", "yes", "no", "done", "item")}
        self._made[node] = outputs
        live = node in self._outside.drawing.live
        told = {
            port: Value(type="object", json=_OPAQUE) if live else Value(type="text", json=text)
            for port, text in outputs.items()
        }
        yield NodeFinished(node=node, outputs=told)
        return None

    def _raise(self, node: NodeId) -> Generator[StepEvent, None, StepFailed]:
        cause = self._rng.choice(PROVIDER_TROUBLES)
        yield NodeFailed(node=node, error="busy", cause=cause)
        step, attempt = self._start.step, self._start.attempt
        return StepFailed(step=step, kind="component", node=node, error="busy", cause=cause, attempt=attempt)

    def _text(self, node: NodeId, salt: str = "") -> str:
        """What a node makes depends on all that it is fed, and on nothing else."""
        fed = [f"{edge.id}={self._fed(edge.source, edge.output)}" for edge in self._outside.feeds.get(node, ())]
        return hashlib.sha256("|".join([node, salt, *sorted(fed)]).encode()).hexdigest()[:16]

    def _fed(self, source: NodeId, port: str) -> Json:
        if source in self._made:
            return self._made[source][port]
        value = self._start.upstream.get(source, {}).get(port)
        assert value is None or not value.is_live, f"{source} lives only inside, and was handed to another sandbox"
        return None if value is None else value.json
