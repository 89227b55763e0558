"""Which node a sandbox was busy with when it ended without a word: the one to name when it died or ran too long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flowray.engine.events import NodeFailed, NodeFinished, NodePaused, NodeStarted, StepEvent
from flowray.flow.types import NodeId
from flowray.runner.verdict import Failure

_WORDLESS = frozenset({"crashed", "timeout", "memory", "protocol"})


class Busy:
    """The nodes that have started and not ended, in the order of their starts; and whether one of them paused."""

    def __init__(self) -> None:
        self._nodes: dict[NodeId, None] = {}
        self.paused = False

    def watch(self, events: Iterable[StepEvent]) -> None:
        """Take what happened."""
        for event in events:
            match event:
                case NodeStarted(node=node):
                    self._nodes[node] = None
                case NodeFinished(node=node) | NodeFailed(node=node):
                    self._nodes.pop(node, None)
                case NodePaused(node=node):
                    self._nodes.pop(node, None)
                    self.paused = True
                case _:
                    pass

    def blame(self, failure: Failure) -> Failure:
        """Name the node of a failure that names none; of several that ran at once, the message names all."""
        if failure.node is not None or failure.kind not in _WORDLESS or not self._nodes:
            return failure
        if len(self._nodes) == 1:
            return replace(failure, node=next(iter(self._nodes)))
        return replace(failure, error=f"{failure.error} Running were: {', '.join(self._nodes)}.")
