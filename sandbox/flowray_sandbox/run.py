"""The job `run`: build the nodes of one step and say what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from lfx.graph.graph.base import Graph
from lfx.graph.vertex.base import Vertex

from flowray_sandbox import capture, checkpoints, classes, files, outside, results, surroundings, tags, tokens
from flowray_sandbox.building import build
from flowray_sandbox.channel import Channel
from flowray_sandbox.failures import RAISED, JobFailedError, component_failed
from flowray_sandbox.graph import OWN_CONTEXT, StepGraph
from flowray_sandbox.report import Report, Voice, running_node, text_of
from flowray_sandbox.spec import RunSpec, run_spec
from flowray_sandbox.walk import Walk


async def run(spec: Mapping[str, Any], blobs: list[bytes], channel: Channel) -> dict[str, Any]:
    """Run the step and answer with how long it took."""
    begun = time.perf_counter()
    report = Report(channel)
    capture.capture(report)
    tokens.EAR.report = report
    outside.connect(channel)
    files.write(spec.get("files") or {}, blobs)
    wanted = run_spec(spec, blobs)
    if spec.get("tape"):
        # Imported here: hardly any run is recorded, and each would pay for it.
        from flowray_sandbox import tape

        tape.install(str(spec["tape"]))
    doors = spec.get("doors") or {}
    surroundings.use_variables(wanted.variables, proxied=bool(spec.get("egress")), direct=doors.get("direct") or ())
    try:
        await Step(wanted, report, channel.flush).run()
    finally:
        capture.tell_rest()
    return {"took_s": time.perf_counter() - begun}


class Step:
    """One step while it runs."""

    def __init__(self, spec: RunSpec, report: Report, flush: Callable[[], None]) -> None:
        self._spec = spec
        self._report = report
        self._flush = flush
        self._voice = Voice(report) if spec.stream else None
        self._graph = _graph(spec, report)
        self._graph.around_iteration = self._watch_iteration
        self._context = dict(self._graph.context)
        self._inner_failure: JobFailedError | None = None

    async def run(self) -> None:
        """Give the inputs to the nodes that take them, then run all."""
        graph, spec = self._graph, self._spec
        if spec.input_value is not None:
            graph._set_inputs([], {"input_value": spec.input_value}, spec.input_type)  # type: ignore[arg-type]  # noqa: SLF001 - what lfx itself does before a run
        for node in graph.has_session_id_vertices:
            graph.get_vertex(node).update_raw_params({"session_id": spec.session_id})
        checkpoints.install(spec.states)
        surroundings.open_scopes(graph)
        await Walk(graph, self._run_node).run()

    async def _run_node(self, node: str) -> bool:
        """Build a node; whether it is done, or waits for somebody's decision."""
        await self._build(self._graph.get_vertex(node))
        self._tell_context(node)
        return node not in self._graph.pauses

    async def _build(self, vertex: Vertex) -> None:
        """Build one node; its start and its end are told whatever happens."""
        mark = running_node.set(vertex.id)
        self._report.started(vertex.id)
        if vertex.id in self._spec.timed or not classes.is_known(_code(vertex)):
            # The host keeps its time. Code of the user's own may end the process: it has to know which node it was.
            self._flush()
        if vertex.id in self._spec.cautious:
            await outside.ask("begin", node=vertex.id)
        begun = time.perf_counter()
        try:
            await build(vertex, files=self._spec.files, voice=self._voice)
            took_s = time.perf_counter() - begun
            capture.tell_rest()
            if vertex.id in self._graph.pauses:
                self._report.paused(vertex.id, self._graph.pauses[vertex.id], checkpoints.state_of(vertex.id))
            else:
                self._tell_finished(vertex, took_s)
        except JobFailedError as failure:
            self._report.failed(vertex.id, failure)
            raise
        except (*RAISED, asyncio.CancelledError) as cause:
            if _cancelled(cause):
                raise
            outer = self._failed(vertex, cause)
            # A loop fails because a node of its body did: that one is to blame.
            raise self._inner_failure or outer from None
        finally:
            running_node.reset(mark)

    def _failed(self, vertex: Vertex, cause: BaseException) -> JobFailedError:
        capture.tell_rest()
        failure = component_failed(cause, node=vertex.id, code=_code(vertex))
        self._report.failed(vertex.id, failure)
        return failure

    def _tell_finished(self, vertex: Vertex, took_s: float) -> None:
        if self._voice is None:
            self._tell_logs(vertex)
        crossing = self._graph.crossing(vertex.id) if vertex.graph is self._graph else set()
        result: Any = vertex.result
        kept_before = self._report.kept_bytes
        outputs = results.encoded(vertex, crossing, self._report.keep)
        kept_bytes = self._report.kept_bytes - kept_before
        self._report.finished(
            vertex.id,
            outputs,
            result=results.result_json(
                result, lambda: self._report.log(vertex.id, results.CUT_NOTICE), kept_bytes=kept_bytes
            ),
            took_s=took_s,
            usage=results.usage(result),
        )

    def _tell_logs(self, vertex: Vertex) -> None:
        """Without an event queue, lfx's components keep their logs to themselves until they are done."""
        for logs in vertex.logs.values():
            for log in logs if isinstance(logs, list) else [logs]:
                self._report.log(vertex.id, text_of(getattr(log, "message", log)), name=str(getattr(log, "name", "")))

    def _tell_context(self, node: str) -> None:
        context = self._graph.context
        changed: dict[str, Any] = {}
        for name, value in context.items():
            if name == OWN_CONTEXT or name.startswith(f"{node}_") or self._context.get(name, self) is value:
                continue
            self._context[name] = value
            try:
                changed[name] = tags.plain(value)
            except tags.CannotTravelError:
                continue
        if changed:
            self._report.context(node, changed)

    def _watch_iteration(self, iteration: Graph) -> None:
        """The nodes of a loop's body report like all others, once per item."""
        iteration.request_pause = _refuse_pause  # type: ignore[method-assign]

        async def build_vertex(vertex_id: str, **options: Any) -> Any:
            mark = running_node.set(vertex_id)
            self._report.started(vertex_id)
            if vertex_id in self._spec.cautious:
                await outside.ask("begin", node=vertex_id)
            begun = time.perf_counter()
            try:
                built = await Graph.build_vertex(iteration, vertex_id, **options)
                self._tell_finished(iteration.get_vertex(vertex_id), time.perf_counter() - begun)
            except (*RAISED, asyncio.CancelledError) as cause:
                if not _cancelled(cause):
                    self._inner_failure = self._inner_failure or self._failed(iteration.get_vertex(vertex_id), cause)
                raise
            finally:
                running_node.reset(mark)
            return built

        iteration.build_vertex = build_vertex  # type: ignore[method-assign]  # lfx calls it for each node of the body
        iteration.create_subgraph = self._watched(iteration.create_subgraph)  # type: ignore[method-assign]

    def _watched(self, create: Callable[[set[str]], AbstractAsyncContextManager[Graph]]) -> Any:
        """Loops within loops."""

        @asynccontextmanager
        async def create_subgraph(vertex_ids: set[str]) -> AsyncIterator[Graph]:
            async with create(vertex_ids) as iteration:
                self._watch_iteration(iteration)
                yield iteration

        return create_subgraph


def _graph(spec: RunSpec, report: Report) -> StepGraph:
    try:
        return StepGraph(spec, report)
    except tags.CannotTravelError as cause:
        raise JobFailedError(f"A value from another step cannot be used here: {cause}.", kind="value") from None
    except RAISED as cause:
        raise component_failed(cause) from None


def _cancelled(cause: BaseException) -> bool:
    """Whether the node was told to stop. Its code may raise the same, which asyncio would take for that."""
    task = asyncio.current_task()
    return isinstance(cause, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _refuse_pause(reason: str = "", data: dict[str, Any] | None = None) -> None:
    del reason, data
    raise RuntimeError("A node inside a loop cannot wait for a person's decision: ask before the loop, or behind it.")


def _code(vertex: Vertex) -> str:
    return str((vertex.data["node"]["template"].get("code") or {}).get("value") or "")
