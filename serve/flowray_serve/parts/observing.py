"""What a process counts and traces of the runs that end in it."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

from flowray.engine.events import Recorded
from flowray.flow.types import NodeId
from flowray.lasting import lasting
from flowray.observe import families as of
from flowray.observe.meter import Meter
from flowray.observe.runs import count
from flowray.plan.types import StepId
from flowray.stores.dead_letters import DeadLetter
from flowray.stores.redis_totals import RedisTotals
from flowray_serve.library import Library
from flowray_serve.settings import TraceSettings
from flowray_serve.tracing.exporting import Tracing


class Observing:
    """A process's meter and traces, and the work of handing on both."""

    def __init__(self, redis: Any, traces: TraceSettings) -> None:
        self.totals = RedisTotals(redis)
        self.meter = Meter(self.totals)
        self._tracing = _tracing(traces, self.meter)
        works = [self.meter.work, *([self._tracing.work] if self._tracing else [])]
        self._works = [lasting(work, name="hand on what was observed") for work in works]

    def open(self, library: Library) -> None:
        """From now on, traces know which step ran a node."""

        async def steps_of(tenant: str, flow: str, version: str) -> Mapping[NodeId, StepId]:
            loaded = await library.load(tenant, f"{flow}@{version}")
            return {node: step.id for step in loaded.plan.steps for node in step.nodes}

        if self._tracing is not None:
            self._tracing.open(steps_of)

    def run_ended(self, recorded: Sequence[Recorded]) -> None:
        """Count a run that is over, by its journal, and trace it."""
        count(recorded, self.meter.tally)
        if self._tracing is not None:
            self._tracing.saw(recorded)

    def letter_added(self, tenant: str, letter: DeadLetter) -> None:
        """Count what was given up."""
        name = letter.flow_name or letter.flow
        self.meter.tally.add(of.DEAD_LETTERS, tenant, name, letter.flow, letter.node, letter.what)

    async def close(self) -> None:
        """Hand on the rest."""
        for work in self._works:
            work.cancel()
        await asyncio.wait(self._works)
        if self._tracing is not None:
            await self._tracing.close()
        await self.meter.close()


def _tracing(settings: TraceSettings, meter: Meter) -> Tracing | None:
    if settings.url is None:
        return None
    from flowray_serve.tracing.otlp import Collector  # not for those who trace nothing: its imports take half a second

    collector = Collector(
        settings.url,
        headers={name: value.get_secret_value() for name, value in settings.headers.items()},
        version=importlib.metadata.version("flowray"),
        within_s=settings.within_s,
    )
    return Tracing(collector, share=settings.share, lost=lambda tenant: meter.tally.add(of.TRACES_LOST, tenant))
