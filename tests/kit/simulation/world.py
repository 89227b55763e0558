"""One run in a world that goes wrong: engines and runners die, events come late or twice, people answer some day."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowray.engine.advance import advance
from flowray.engine.commands import Command, FinishRun, PauseRun, StartStep, StopStep
from flowray.engine.events import (
    Event,
    NodeDecided,
    NodeFinished,
    NodeStarted,
    RunResumed,
    RunStarted,
    StepEvent,
    StepFailed,
    StepFinished,
    StepPaused,
)
from flowray.engine.records import pause_of, said_by
from flowray.engine.state import State
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from tests.kit.simulation.plans import drawn
from tests.kit.simulation.sandboxes import Outside

_MOST_STEPS = 20_000


@dataclass(frozen=True)
class Odds:
    """How likely each mishap is, per simulated step."""

    engine: float = 0.0
    runner: float = 0.0
    trouble: float = 0.0
    twice: float = 0.0


CALM, ROUGH = Odds(), Odds(engine=0.02, runner=0.02, trouble=0.08, twice=0.05)


@dataclass
class World:
    """A run with all that happens to it. `steps` counts events that reached the engine."""

    seed: int
    odds: Odds
    steps: int = 0
    mishaps: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}/{self.odds}")  # noqa: S311 - a world from a seed
        self.drawing, self.plan = drawn(self.seed)
        self.outside = Outside(self.drawing, self.plan, self.odds.trouble)
        self.state = self._fresh()
        self.journal: list[Event] = []
        self.written = 0
        self.live: dict[StepId, Iterator[StepEvent]] = {}
        self.skipped: set[NodeId] = set()

    def run(self) -> State:
        """Live through it; the state at the end."""
        self._hear(RunStarted(engine="e"))
        while self.state.verdict is None:
            assert self.steps < _MOST_STEPS, f"seed {self.seed} does not end"
            if not self.live:
                self._answer()
            elif self._happens("engine"):
                self._kill_engine()
            elif self._happens("runner"):
                self._kill_runner()
            else:
                self._go_on()
        return self.state

    @property
    def finished(self) -> Mapping[NodeId, Mapping[str, object]]:
        """What each node made, in the end."""
        return {node: dict(outputs) for node, outputs in self.state.outputs.items()}

    def _fresh(self) -> State:
        return State.start(self.plan, seed=str(self.seed))

    def _happens(self, mishap: str) -> bool:
        odds: float = getattr(self.odds, mishap)
        happens = self.rng.random() < odds
        self.mishaps[mishap] += happens
        return happens

    def _go_on(self) -> None:
        step = self.rng.choice(list(self.live))
        event = next(self.live[step])
        if isinstance(event, StepFinished | StepFailed | StepPaused):
            del self.live[step]
        self._hear(event)
        if self._happens("twice"):
            self._hear(event)

    def _hear(self, *events: Event) -> None:
        """What a drive does with what happens."""
        commands: list[Command] = []
        for event in events:
            commands += self._note(event)
        for said in said_by(commands, now=0.0):
            assert not self._note(said)
        # An engine that dies has written some of it; but what has an effect is written before it begins.
        if self._is_guarded(events) or self.rng.random() < 0.5:
            self.written = len(self.journal)
        for command in commands:
            self._obey(command)

    def _note(self, event: Event) -> Sequence[Command]:
        self.steps += 1
        self._check(event)
        self.journal.append(event)
        self.state, commands = advance(self.state, event)
        return commands

    def _obey(self, command: Command) -> None:
        match command:
            case StartStep(step=step):
                assert step not in self.live, f"{step} runs twice at once"
                self._check_start(command)
                self.live[step] = self.outside.run(command, self.rng)
            case StopStep(step=step):
                self.live.pop(step, None)
            case PauseRun():
                assert not self.live
                self._note(pause_of(self.state))
                self.written = len(self.journal)
            case FinishRun():
                self.written = len(self.journal)

    def _kill_engine(self) -> None:
        """Its sandboxes die with it; another engine has what was written."""
        whole = self.written == len(self.journal)
        del self.journal[self.written :]
        self.live.clear()
        before, self.state = self.state, self._fresh()
        for event in self.journal:
            self.state, _ = advance(self.state, event)
        assert not whole or self.state == before, "folding the journal again gives another state"
        lost = [StepFailed(step=step, kind="lost", error="gone", orphaned=True) for step in self.state.started]
        self._hear(RunStarted(engine="e"), *lost)

    def _kill_runner(self) -> None:
        step = self.rng.choice(list(self.live))
        del self.live[step]
        if step in self.state.started:
            self._hear(StepFailed(step=step, kind="lost", error="gone"))
        else:
            self._hear(StepFailed(step=step, kind="unavailable", error="gone", retryable=True))

    def _answer(self) -> None:
        """Somebody answers one of the things that are asked, after any time, and some engine goes on."""
        asked = sorted((node for node, request in self.state.asked.items() if request is not None))
        assert asked, f"seed {self.seed}: nothing runs, and nothing is asked"
        node = self.rng.choice(asked)
        request = self.state.asked[node]
        answer = RunResumed(node=node, request_id=request.get("request_id", ""), decision={"action_id": "replay"})
        self._note(answer)
        self.written = len(self.journal)
        self.live.clear()
        self.state = self._fresh()
        for event in self.journal:
            self.state, _ = advance(self.state, event)
        self._hear(RunStarted(engine="e"))

    def _is_guarded(self, events: Sequence[Event]) -> bool:
        terms = self.plan.terms_of
        return any(isinstance(event, NodeStarted) and terms(event.node).effect != "replay" for event in events)

    def _check(self, event: Event) -> None:
        if isinstance(event, NodeDecided) and event.decision == "skip":
            self.skipped.add(event.node)

    def _check_start(self, start: StartStep) -> None:
        """What finished is not run again: but for live objects, and for loops that have not ended."""
        finished = {event.node for event in self.journal if isinstance(event, NodeFinished)}
        nodes = set(self.plan.by_id[start.step].nodes) - start.done - start.skip - start.later
        again = {node for node in nodes & finished if node not in self.outside.wiring.loops_around}
        assert again <= self.drawing.live, f"seed {self.seed}: {again - self.drawing.live} run again"
