"""The seconds that single nodes of a step may take, kept by the host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from flowray.engine.events import NodeFailed, NodeFinished, NodePaused, NodeStarted
from flowray.flow.types import NodeId
from flowray.runner.claims import Claim, Unstored


class Walls:
    """Watches the nodes that have a limit; `on_overrun` is called for the first that passes it."""

    def __init__(self, limits_s: Mapping[NodeId, float], on_overrun: Callable[[NodeId], None]) -> None:
        self._limits_s = limits_s
        self._on_overrun = on_overrun
        self._loop = asyncio.get_running_loop()
        self._clocks: dict[NodeId, asyncio.TimerHandle] = {}

    def watch(self, claim: Claim) -> None:
        """Take what happened."""
        match claim.event if isinstance(claim, Unstored) else claim:
            case NodeStarted(node=node) if node in self._limits_s:
                self._stop(node)
                self._clocks[node] = self._loop.call_later(self._limits_s[node], self._on_overrun, node)
            case NodeFinished(node=node) | NodeFailed(node=node) | NodePaused(node=node):
                self._stop(node)
            case _:
                pass

    def close(self) -> None:
        """Watch no more."""
        for node in tuple(self._clocks):
            self._stop(node)

    def _stop(self, node: NodeId) -> None:
        if (clock := self._clocks.pop(node, None)) is not None:
            clock.cancel()
