"""Runs that are over, held until the collector has their traces; bounded, since it may be away for long."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from flowray.engine.events import Recorded, RunAccepted
from flowray.errors import FlowRayError
from flowray.flow.types import NodeId
from flowray.observe.spans import Span, spans
from flowray.observe.trace_context import is_kept
from flowray.plan.types import StepId

log = logging.getLogger(__name__)

StepsOf = Callable[[str, str, str], Awaitable[Mapping[NodeId, StepId]]]
_EVERY_S, _AT_THE_END_S = 1.0, 5.0
_MOST_HELD = 2_000
_RUNS_AT_ONCE = 64


class Takes(Protocol):
    """Who takes spans."""

    async def send(self, spans: Sequence[Span]) -> bool:
        """Whether they were taken. Raises when they cannot be said."""


class Tracing:
    """Hands on the traces of runs; `share` of them, `lost` is told the tenant of each that is not taken.

    What knows a flow's steps is made after this, and given by `open`; until then nodes are told below their runs.
    """

    def __init__(self, collector: Takes, *, share: float, lost: Callable[[str], None]) -> None:
        self._collector = collector
        self._share = share
        self._lost = lost
        self._steps_of: StepsOf = _nobody_knows
        self._held: deque[Sequence[Recorded]] = deque()

    def open(self, steps_of: StepsOf) -> None:
        """From now on, nodes are told below their steps: `steps_of` takes tenant, flow and version."""
        self._steps_of = steps_of

    def saw(self, recorded: Sequence[Recorded]) -> None:
        """Take a run that is over."""
        if not is_kept(recorded, self._share):
            return
        self._held.append(recorded)
        if len(self._held) > _MOST_HELD:
            self._lose(self._held.popleft())

    async def work(self) -> None:
        """Hand on until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.hand_on()

    async def close(self) -> None:
        """Send what is held, if that is soon done: a collector that is away keeps no process from its end."""
        try:
            async with asyncio.timeout(_AT_THE_END_S):
                await self.hand_on()
        except TimeoutError:
            log.warning("Traces lost", extra={"action": "traces_lost", "runs": len(self._held)})

    async def hand_on(self) -> None:
        """Send all that is held; what is not taken is lost. Runs that cannot be sent together are sent one by one."""
        while self._held:
            some = [self._held.popleft() for _ in range(min(len(self._held), _RUNS_AT_ONCE))]
            try:
                await self._send(some)
            except Exception:
                log.exception("Traces cannot be told together", extra={"action": "traces_failed", "runs": len(some)})
                await self._send_each(some)

    async def _send_each(self, some: Sequence[Sequence[Recorded]]) -> None:
        for recorded in some:
            try:
                await self._send([recorded])
            except Exception:
                facts = {"action": "traces_lost", "runs": 1, "run": recorded[0].run}
                log.exception("A trace cannot be told", extra=facts)
                self._lose(recorded)

    async def _send(self, some: Sequence[Sequence[Recorded]]) -> None:
        told = [span for recorded in some for span in await self._told(recorded)]
        if not await self._collector.send(told):
            log.warning("Traces lost", extra={"action": "traces_lost", "runs": len(some)})
            for recorded in some:
                self._lose(recorded)

    async def _told(self, recorded: Sequence[Recorded]) -> Sequence[Span]:
        accepted = recorded[0].event
        if not isinstance(accepted, RunAccepted):
            return ()
        try:
            step_of = await self._steps_of(accepted.tenant, accepted.flow, accepted.version)
        except FlowRayError:
            step_of = {}  # the flow is gone, or ran as it was drawn and never published
        return spans(recorded, step_of)

    def _lose(self, recorded: Sequence[Recorded]) -> None:
        if isinstance(accepted := recorded[0].event, RunAccepted):
            self._lost(accepted.tenant)


async def _nobody_knows(_tenant: str, _flow: str, _version: str) -> Mapping[NodeId, StepId]:
    return {}
