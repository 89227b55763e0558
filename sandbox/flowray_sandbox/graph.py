"""lfx's graph of one step: some of its nodes are built here, the others are there only as their neighbours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from lfx.extension.migration import migrate_flow_payload
from lfx.graph.graph.base import Graph
from lfx.graph.graph.utils import process_flow
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.vertex_types import ComponentVertex
from lfx.utils.flow_code import normalize_code_for_import

from flowray_sandbox import values
from flowray_sandbox.branches import Wire, downstream
from flowray_sandbox.neighbours import Absent, secrets_of
from flowray_sandbox.report import Report
from flowray_sandbox.spec import RunSpec

OWN_CONTEXT = "request_variables"
Building = Callable[[Vertex], Any]


class StepGraph(Graph):
    """Holds the step's nodes, gives them what their upstream nodes put out elsewhere, and reports the branches they stop."""

    def __init__(self, spec: RunSpec, report: Report) -> None:
        super().__init__(
            flow_id=spec.flow_id,
            flow_name=spec.flow_name,
            user_id=spec.user_id,
            context={**_context(spec), OWN_CONTEXT: dict(spec.variables)},
            instantiate_components=False,
        )
        self.session_id = spec.session_id
        self.set_run_id(spec.run_id)
        self._report = report
        self._wires = [Wire.of(edge) for edge in spec.edges]
        self.around_iteration: Callable[[Graph], None] = lambda _: None
        nodes, edges = _executable(spec)
        self.add_nodes_and_edges(nodes, edges)
        self.built_here = [node for node in spec.build if node in self.vertex_map]
        self._take_upstream(spec)
        self._plan(spec)

    def add_nodes_and_edges(self, nodes: list[Any], edges: list[Any]) -> None:
        """Take the nodes as they are: groups and old code are dealt with already, the spec is nobody else's."""
        self.raw_graph_data = self._graph_data = {"nodes": nodes, "edges": edges}
        self._vertices, self._edges = nodes, edges
        self.top_level_vertices = [node["id"] for node in nodes]
        self.initialize()

    def crossing(self, node: str) -> set[str]:
        """The node's ports that somebody outside this step reads."""
        here = set(self.built_here)
        return {wire.port for wire in self._wires if wire.source == node and wire.target not in here}

    def mark_branch(self, vertex_id: str, state: str, output_name: str | None = None) -> None:
        """Stop or start what hangs on an output, until the node is done."""
        super().mark_branch(vertex_id, state, output_name)
        self._forget_foreign_predecessors()
        if state == "INACTIVE":
            self._tell_stopped(vertex_id, [output_name] if output_name else None, lasting=False)

    def exclude_branch_conditionally(self, vertex_id: str, output_name: str | None = None) -> None:
        """Close what hangs on an output for the rest of the run."""
        super().exclude_branch_conditionally(vertex_id, output_name)
        if not output_name:
            self._tell_stopped(vertex_id, None, lasting=True)

    def exclude_branches_conditionally(self, vertex_id: str, output_names: list[str]) -> None:
        """Close what hangs on several outputs for the rest of the run."""
        super().exclude_branches_conditionally(vertex_id, output_names)
        self._tell_stopped(vertex_id, output_names, lasting=True)

    @contextlib.asynccontextmanager
    async def create_subgraph(self, vertex_ids: set[str]) -> AsyncIterator[Graph]:
        """One iteration of a loop, as lfx makes it; nodes that ran elsewhere are not run again for it."""
        elsewhere = vertex_ids - set(self.built_here)
        async with super().create_subgraph(vertex_ids - elsewhere) as iteration:
            for wire in self._wires:
                if wire.source in elsewhere and wire.target in vertex_ids:
                    self._hand_over(wire, iteration)
            self.around_iteration(iteration)
            yield iteration

    def _hand_over(self, wire: Wire, iteration: Graph) -> None:
        source = self.get_vertex(wire.source)
        if source.built and wire.port in source.results and wire.field:
            value = {wire.field: source.results[wire.port]}
            iteration.get_vertex(wire.target).update_raw_params(value, overwrite=True)

    def _take_upstream(self, spec: RunSpec) -> None:
        here = set(self.built_here)
        known_secrets = secrets_of(self._vertices, spec.variables)
        for node, ports in spec.upstream.items():
            vertex = self.vertex_map.get(node)
            if vertex is None or node in here:
                continue
            outputs = {port: values.decode(value, spec.blobs) for port, value in ports.items()}
            vertex.built = True
            vertex.results = outputs
            # Components of the first generation have one output and no names for it.
            one = outputs if isinstance(vertex, ComponentVertex) else next(iter(outputs.values()), None)
            vertex.built_object = vertex.built_result = one
            vertex.custom_component = Absent(vertex, known_secrets)  # type: ignore[assignment]  # speaks for it

    def _plan(self, spec: RunSpec) -> None:
        """What lfx's `sort_vertices` does, for the nodes that are built here."""
        self.mark_all_vertices("ACTIVE")
        self.conditionally_excluded_vertices |= spec.closed
        here = set(self.built_here) - (self._orphaned_tool_vertex_ids() if len(self.built_here) > 1 else set())
        self.built_here = [node for node in self.built_here if node in here]
        self.vertices_to_run = here
        waits_for = {node: [other for other in self.predecessor_map.get(node, ()) if other in here] for node in here}
        self.run_manager.build_run_map(predecessor_map=waits_for, vertices_to_run=here)

    def _forget_foreign_predecessors(self) -> None:
        here = self.vertices_to_run
        waiting = self.run_manager.run_predecessors
        for node, others in waiting.items():
            waiting[node] = [other for other in others if other in here]

    def _tell_stopped(self, source: str, outputs: Iterable[str] | None, *, lasting: bool) -> None:
        for output in outputs or ("",):
            stopped = downstream(self._wires, source, {output} if output else None)
            if self.get_vertex(source).is_loop:
                # A loop runs its own body, item by item; only what lies beyond this step must know of the stop.
                stopped -= set(self.built_here)
            if stopped:
                self._report.branch_stopped(source, output, sorted(stopped), lasting=lasting)


def _context(spec: RunSpec) -> dict[str, Any]:
    return {name: values.restored(value) for name, value in spec.context.items()}


def _executable(spec: RunSpec) -> tuple[list[Any], list[Any]]:
    """The nodes and edges to run: no notes, no groups, types under their current names, code as one text."""
    nodes: list[Any] = [node for node in spec.nodes if node.get("type") != "noteNode"]
    edges: list[Any] = list(spec.edges)
    if any((node["data"].get("node") or {}).get("flow") for node in nodes):
        flat = process_flow({"nodes": nodes, "edges": edges})
        nodes, edges = flat["nodes"], flat["edges"]
    nodes = [_current(node) for node in nodes]
    if spec.build:
        _set_stream(nodes, spec)
    ids = {node["id"] for node in nodes}
    return nodes, [edge for edge in edges if edge["source"] in ids and edge["target"] in ids]


def _current(node: Any) -> Any:
    code = node["data"]["node"]["template"].get("code") or {}
    if isinstance(code.get("value"), list):
        node = normalize_code_for_import({"nodes": [node], "edges": []})["nodes"][0]
    migrate_flow_payload({"nodes": [node], "edges": []})
    return node


def _set_stream(nodes: Iterable[Mapping[str, Any]], spec: RunSpec) -> None:
    """Langflow sets `stream` on every node that has it, with each request."""
    for node in nodes:
        field = node["data"]["node"]["template"].get("stream")
        if isinstance(field, dict):
            field["value"] = spec.stream
