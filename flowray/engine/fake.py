"""A fake of the engine's port to the runners: steps that do what a script says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from flowray.engine.commands import StartStep
from flowray.engine.events import NodeFinished, NodeStarted, StepEvent, StepFailed, StepFinished, StepStarted
from flowray.engine.ports import RunRequest
from flowray.engine.values import Value
from flowray.flow.types import NodeId
from flowray.plan.types import StepId

Script = Sequence[Sequence[StepEvent] | Exception]


class FakeSteps:
    """Each node of a step gives its own name on port `out`, unless the script has other batches for the step.

    An exception in the script is raised; the script of a second attempt is found under "step#2".
    Steps in `held` stay in their sandboxes until they are released.
    """

    def __init__(self, script: Mapping[str, Script] | None = None, *, held: Sequence[str] = ()) -> None:
        self.script = dict(script or {})
        self.commands: list[StartStep] = []
        self.cancelled: list[StepId] = []
        self._held = set(held)
        self._running: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def running(self, step: str) -> None:
        """Wait until a step runs."""
        await self._running[step].wait()

    def release(self, step: str) -> None:
        """Let a held step go on."""
        self._released[step].set()

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """See `flowray.engine.ports.Steps`."""
        self.commands.append(step)
        over = False
        try:
            for told in self._told(request, step):
                if isinstance(told, Exception):
                    raise told
                over = isinstance(told[-1], StepFinished | StepFailed)
                yield told
                self._running[step.step].set()
                if step.step in self._held:
                    await self._released[step.step].wait()
        except (asyncio.CancelledError, GeneratorExit):
            if not over:
                self.cancelled.append(step.step)
            raise

    def _told(self, request: RunRequest, step: StartStep) -> Iterator[Sequence[StepEvent] | Exception]:
        name = step.step if step.attempt == 1 else f"{step.step}#{step.attempt}"
        if name in self.script:
            yield from self.script[name]
            return
        yield [StepStarted(step=step.step, attempt=step.attempt, runner="fake")]
        for node in request.plan.by_id[step.step].nodes:
            if node not in step.skip | step.done | step.later:
                yield [NodeStarted(node=node), _finished(node)]
        yield [StepFinished(step=step.step)]


def _finished(node: NodeId) -> NodeFinished:
    return NodeFinished(node=node, outputs={"out": Value(type="text", json=node)}, result={"text": node})
