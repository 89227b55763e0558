"""The order of a step: every node as soon as the nodes it waits for are done, independent ones at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flowray_sandbox.graph import StepGraph


class Walk:
    """Runs a graph's nodes through `run_node`; the first failure cancels what still runs and is raised."""

    def __init__(self, graph: StepGraph, run_node: Callable[[str], Awaitable[None]]) -> None:
        self._graph = graph
        self._run_node = run_node

    async def run(self) -> None:
        """Run all nodes that are to run."""
        first = self._first()
        for node in first:
            self._graph.run_manager.add_to_vertices_being_run(node)
        if not first:
            return
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for node in first[1:]:
                    self._tasks.create_task(self._along(node), name=node)
                await self._along(first[0])
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _first(self) -> list[str]:
        graph = self._graph
        first = [node for node in graph.built_here if graph.is_vertex_runnable(node)]
        # A cycle without a loop component has no node that waits for nothing: it begins where lfx begins.
        return first or ([_entry(graph)] if graph.built_here else [])

    async def _along(self, node: str | None) -> None:
        """Run a node and then what became ready by it: the first of it here, the others beside."""
        while node is not None:
            await self._run_node(node)
            ready = self._graph.ready_after(node)
            for other in ready[1:]:
                self._tasks.create_task(self._along(other), name=other)
            node = ready[0] if ready else None


def _entry(graph: StepGraph) -> str:
    """Where a cycle is entered: its chat input, or the first of its nodes."""
    return next((node for node in graph.built_here if graph.get_vertex(node).is_input), graph.built_here[0])
