"""lfx's graph of one step: some of its nodes are built here, the others are there only as their neighbours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from lfx.graph.graph.base import Graph
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.vertex_types import ComponentVertex

from flowray_sandbox import tags, values
from flowray_sandbox.branches import Wire, downstream, has_cycle
from flowray_sandbox.failures import RAISED, component_failed
from flowray_sandbox.neighbours import Absent, secrets_of
from flowray_sandbox.payload import executable
from flowray_sandbox.report import Report, running_node
from flowray_sandbox.spec import RunSpec

OWN_CONTEXT = "request_variables"
_ASKING = "HumanInput"
_LISTENING = "ChatOutput"


class StepGraph(Graph):
    """Holds a step's nodes, gives them what upstream nodes put out elsewhere, and reports the branches they stop."""

    def __init__(self, spec: RunSpec, report: Report) -> None:
        super().__init__(
            flow_id=spec.flow_id, flow_name=spec.flow_name, user_id=spec.user_id, instantiate_components=False
        )
        self._context[OWN_CONTEXT] = spec.variables
        for name, value in spec.context.items():
            self._context[name] = tags.restored(value)
        self._session_id = spec.session_id
        self._run_id = spec.run_id
        self.human_input_decisions = dict(spec.answers)
        self._later = spec.later
        self.pauses: dict[str, dict[str, Any]] = {}
        self._report = report
        self.around_iteration: Callable[[Graph], None] = lambda _: None
        nodes, edges = executable(spec)
        self._wires = [Wire.of(edge) for edge in spec.edges]
        self.add_nodes_and_edges(nodes, edges)
        self.built_here = [node for node in spec.build if node in self.vertex_map]
        if spec.upstream:
            self._take_upstream(spec)
        self._plan(spec)

    def add_nodes_and_edges(self, nodes: list[Any], edges: list[Any]) -> None:
        """Take the nodes as they are: the payload is made executable already, and nobody else holds it."""
        payload: Any = {"nodes": nodes, "edges": edges}
        self.raw_graph_data = self._graph_data = payload
        self._vertices, self._edges = nodes, edges
        self.top_level_vertices = [node["id"] for node in nodes]
        self.initialize()

    def initialize(self) -> None:
        """Do what lfx does here, once: the graph is not prepared a second time, and its edges keep their order."""
        self._cycle_vertices = None if has_cycle(self._wires) else set()
        for node in self._vertices:
            vertex = self._create_vertex(node)
            self.vertices.append(vertex)
            self.vertex_map[vertex.id] = vertex
        edges: list[Any] = [self.build_edge(edge) for edge in self._edges]
        self.edges = list(dict.fromkeys(edges))
        self.run_manager.cycle_vertices |= self.cycle_vertices
        for vertex in self.vertices:
            _take_fields(vertex)
        self.build_graph_maps(self.edges)
        self.define_vertices_lists()
        self._know_asking_nodes()

    def crossing(self, node: str) -> set[str]:
        """The node's ports that somebody outside this step reads."""
        here = {*self.built_here, *self._later}
        return {wire.port for wire in self._wires if wire.source == node and wire.target not in here}

    def is_heard_elsewhere(self, node: str) -> bool:
        """Whether a Chat Output of another step takes what the node says; lfx tells one by its id, too."""
        return any(wire.source == node and wire.target.split("-", 1)[0] == _LISTENING for wire in self._wires)

    def ready_after(self, node: str) -> list[str]:
        """The nodes to run next, now that this one is done; lfx's own rule, and what it does after each step."""
        self.run_manager.ran_at_least_once.add(node)
        self.run_manager.remove_vertex_from_runnables(node)
        here = [other for other in self.successor_map.get(node, []) if other in self.vertex_map]
        ready = [other for other in self.find_next_runnable_vertices(here) if other != node]
        self.run_manager.vertices_being_run.update(ready)
        if self.get_vertex(node).is_state:
            ready.extend(self.activated_vertices)
        self.reset_inactivated_vertices(node)
        self.activated_vertices = []
        return ready

    def request_pause(self, reason: str = "pause_requested", data: dict[str, Any] | None = None) -> None:
        """A node wants to wait for a decision: it is not done, and what hangs on it does not run now."""
        self.pauses[running_node.get()] = {"reason": reason, **(data or {})}

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

    def _know_asking_nodes(self) -> None:
        """A node that asks a person asks nobody when nothing hangs on it: what hangs on it may be in another step."""
        for vertex in self.vertices:
            if vertex.data.get("type") == _ASKING and not self.successor_map.get(vertex.id):
                self.successor_map[vertex.id] = [wire.target for wire in self._wires if wire.source == vertex.id]

    def _take_upstream(self, spec: RunSpec) -> None:
        known_secrets = secrets_of(self._vertices, spec.variables)
        for node, ports in spec.upstream.items():
            vertex = self.vertex_map.get(node)
            if vertex is None or node in self.built_here:
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
        self.conditionally_excluded_vertices |= spec.closed
        if len(self.built_here) > 1:
            unused_tools = self._orphaned_tool_vertex_ids()
            self.built_here = [node for node in self.built_here if node not in unused_tools]
        here = self.vertices_to_run = set(self.built_here)
        before = self.predecessor_map
        waits_for = {node: [other for other in before.get(node, ()) if other in here] for node in self.built_here}
        self.run_manager.build_run_map(predecessor_map=waits_for, vertices_to_run=here)

    def _forget_foreign_predecessors(self) -> None:
        """lfx counts a branch's predecessors anew; those of other steps are done and must not be waited for."""
        waiting = self.run_manager.run_predecessors
        for node, others in waiting.items():
            waiting[node] = [other for other in others if other in self.vertices_to_run]

    def _tell_stopped(self, source: str, outputs: Iterable[str] | None, *, lasting: bool) -> None:
        # Without names all outputs are meant, and what hangs on any of them.
        named = sorted({wire.port for wire in self._wires if wire.source == source}) if outputs is None else outputs
        for output in named:
            stopped = downstream(self._wires, source, {output}, spare_shared=outputs is not None)
            if self.get_vertex(source).is_loop:
                # A loop runs its own body, item by item; only what lies beyond this step must know of the stop.
                stopped -= set(self.built_here)
            if stopped:
                self._report.branch_stopped(source, output, sorted(stopped), lasting=lasting)


def _take_fields(vertex: Vertex) -> None:
    """Have lfx read the node's fields; it refuses some values, and names no node."""
    try:
        vertex.build_params()
    except RAISED as cause:
        raise component_failed(cause, node=vertex.id) from None
