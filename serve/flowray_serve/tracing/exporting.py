"""Runs that are over, held until the collector has their traces.

Bounded in number and in bytes, since it may be away for long: of a run only what its trace says is held, and the oldest
make room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from flowray.engine.events import Recorded, RunAccepted
from flowray.errors import FlowRayError
from flowray.flow.types import NodeId
from flowray.observe.lean import lean, size_bytes
from flowray.observe.spans import Span, spans
from flowray.observe.trace_context import is_kept
from flowray.plan.types import StepId

log = logging.getLogger(__name__)

StepsOf = Callable[[str, str, str], Awaitable[Mapping[NodeId, StepId]]]
_EVERY_S, _AT_THE_END_S = 1.0, 5.0
_MOST_HELD, _MOST_BYTES = 2_000, 32 * 1024 * 1024
_RUNS_AT_ONCE = 64


class Takes(Protocol):
    """Who takes spans."""

    async def send(self, spans: Sequence[Span]) -> bool:
        """Whether they were taken. Raises when they cannot be said."""


class _Held(NamedTuple):
    """A run that is over, and how much memory it takes."""

    recorded: Sequence[Recorded]
    size_bytes: int


class Tracing:
    """Hands on the traces of runs; `share` of them, `lost` is told the tenant of each that is not taken.

    What knows a flow's steps is made after this, and given by `open`; until then nodes are told below their runs.
    """

    def __init__(self, collector: Takes, *, share: float, lost: Callable[[str], None]) -> None:
        self._collector = collector
        self._share = share
        self._lost = lost
        self._steps_of: StepsOf = _nobody_knows
        self._held: deque[_Held] = deque()
        self._sending: deque[_Held] = deque()
        self._bytes = 0

    def open(self, steps_of: StepsOf) -> None:
        """From now on, nodes are told below their steps: `steps_of` takes tenant, flow and version."""
        self._steps_of = steps_of

    def saw(self, recorded: Sequence[Recorded]) -> None:
        """Take a run that is over."""
        if not is_kept(recorded, self._share):
            return
        kept = lean(recorded)
        self._held.append(_Held(kept, size_bytes(kept)))
        self._bytes += self._held[-1].size_bytes
        while self._held and (len(self._held) > _MOST_HELD or self._bytes > _MOST_BYTES):
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
            self._sending.extend(self._held)
            self._held.clear()
            self._let_go(len(self._sending), is_taken=False)

    async def hand_on(self) -> None:
        """Send all that is held; what is not taken is lost. Runs that cannot be sent together are sent one by one."""
        while self._sending or self._held:  # what was being sent when its task was cancelled is sent again
            while self._held and len(self._sending) < _RUNS_AT_ONCE:
                self._sending.append(self._held.popleft())
            try:
                await self._send(len(self._sending))
            except Exception:
                facts = {"action": "traces_failed", "runs": len(self._sending)}
                log.exception("Traces cannot be told together", extra=facts)
                await self._send_each()

    async def _send_each(self) -> None:
        while self._sending:
            try:
                await self._send(1)
            except Exception:
                facts = {"action": "traces_failed", "run": self._sending[0].recorded[0].run}
                log.exception("A trace cannot be told", extra=facts)
                self._let_go(1, is_taken=False)

    async def _send(self, runs: int) -> None:
        some = [held.recorded for held in islice(self._sending, runs)]
        told = [span for recorded in some for span in await self._told(recorded)]
        self._let_go(runs, is_taken=await self._collector.send(told))

    def _let_go(self, runs: int, *, is_taken: bool) -> None:
        """Hold the first of those that were sent no more."""
        if not is_taken:
            log.warning("Traces lost", extra={"action": "traces_lost", "runs": runs})
        for _ in range(runs):
            sent = self._sending.popleft()
            if is_taken:
                self._bytes -= sent.size_bytes
            else:
                self._lose(sent)

    async def _told(self, recorded: Sequence[Recorded]) -> Sequence[Span]:
        accepted = recorded[0].event
        if not isinstance(accepted, RunAccepted):
            return ()
        try:
            step_of = await self._steps_of(accepted.tenant, accepted.flow, accepted.version)
        except FlowRayError:
            step_of = {}  # the flow is gone, or ran as it was drawn and never published
        return spans(recorded, step_of)

    def _lose(self, held: _Held) -> None:
        self._bytes -= held.size_bytes
        if isinstance(accepted := held.recorded[0].event, RunAccepted):
            self._lost(accepted.tenant)


async def _nobody_knows(_tenant: str, _flow: str, _version: str) -> Mapping[NodeId, StepId]:
    return {}
