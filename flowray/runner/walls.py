"""The seconds that a step and its nodes may take, kept by the host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from flowray.engine.events import NodeFailed, NodeFinished, NodePaused, NodeStarted
from flowray.flow.types import NodeId
from flowray.runner.claims import Claim, Unstored

_LOOK_AGAIN_S = 0.05
# Nor can a store that does not come back, or a sandbox that does not stop talking, hold a limit off for longer.
_PATIENCE_S = 5.0


class Limit:
    """Calls `on_overrun` after some seconds, but not while what the sandbox has said lies unread: it may be done.

    While a store is slow, nothing is read. When all is read, the sandbox is given a moment to say what it could not.
    """

    def __init__(self, limit_s: float, unread: Callable[[], bool], on_overrun: Callable[[], object]) -> None:
        self._unread = unread
        self._on_overrun = on_overrun
        self._loop = asyncio.get_running_loop()
        self._latest = self._loop.time() + limit_s + _PATIENCE_S
        self._timer = self._loop.call_later(limit_s, self._passed)

    def cancel(self) -> None:
        """It was kept, or does not matter any more."""
        self._timer.cancel()

    def _passed(self, *, was_unread: bool = False) -> None:
        unread = self._unread()
        if (unread or was_unread) and self._loop.time() < self._latest:
            self._timer = self._loop.call_later(_LOOK_AGAIN_S, partial(self._passed, was_unread=unread))
            return
        self._on_overrun()


class Walls:
    """Watches the nodes that have a limit; `on_overrun` is called for the first that passes it."""

    def __init__(
        self, limits_s: Mapping[NodeId, float], unread: Callable[[], bool], on_overrun: Callable[[NodeId], None]
    ) -> None:
        self._limits_s = limits_s
        self._unread = unread
        self._on_overrun = on_overrun
        self._clocks: dict[NodeId, Limit] = {}

    def watch(self, claim: Claim) -> None:
        """Take what happened."""
        match claim.event if isinstance(claim, Unstored) else claim:
            case NodeStarted(node=node) if node in self._limits_s:
                self._stop(node)
                self._clocks[node] = Limit(self._limits_s[node], self._unread, partial(self._on_overrun, node))
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
