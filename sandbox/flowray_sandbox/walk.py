"""The order of a step: every node as soon as the nodes it waits for are done, independent ones at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flowray_sandbox.graph import StepGraph


class Walk:
    """Runs a graph's nodes through `run_node`; the first failure cancels what still runs and is raised.

    Nothing follows from a node that is not done when `run_node` returns: it waits for a decision.
    """

    def __init__(self, graph: StepGraph, run_node: Callable[[str], Awaitable[bool]]) -> None:
        self._graph = graph
        self._run_node = run_node

    async def run(self) -> None:
        """Run all nodes that are to run."""
        first = self._first()
        self._graph.run_manager.vertices_being_run.update(first)
        await self._all(first)

    def _first(self) -> list[str]:
        graph = self._graph
        first = [node for node in graph.built_here if graph.is_vertex_runnable(node)]
        # A cycle without a loop component has no node that waits for nothing: it begins where lfx begins.
        return first or ([_entry(graph)] if graph.built_here else [])

    async def _all(self, nodes: list[str]) -> None:
        """Run these nodes, each with what follows it, at the same time."""
        while len(nodes) == 1:
            nodes = self._graph.ready_after(nodes[0]) if await self._run_node(nodes[0]) else []
        if not nodes:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in nodes:
                    tasks.create_task(self._all([node]), name=node)
        except BaseExceptionGroup as group:
            # The others were cancelled because of the first.
            raise group.exceptions[0] from None


def _entry(graph: StepGraph) -> str:
    """Where a cycle is entered: its chat input, or the first of its nodes."""
    return next((node for node in graph.built_here if graph.get_vertex(node).is_input), graph.built_here[0])
