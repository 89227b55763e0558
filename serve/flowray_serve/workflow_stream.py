"""A run as Langflow's v2 stream: journal events said in Langflow's words, framed by lfx's own protocol adapters.

The adapters make `langflow` and `agui` streams what Langflow's clients know; they see events, never components.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from flowray.engine import events as ev
from flowray.engine.failures import RunCancelledError
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.flow.types import Flow, Node
from flowray_serve.bodies.workflow import WorkflowBody
from flowray_serve.problems import incident
from flowray_serve.streams import langflow_frame, sse
from flowray_serve.vertex_build import build_data, first_layer
from flowray_serve.workflow_answer import terminal_nodes

if TYPE_CHECKING:
    from lfx.workflow.adapters import StreamAdapter, StreamEvent

_WithoutGraphByDefault = frozenset({"agui"})


class UnknownProtocolError(InvalidRequestError):
    """No adapter frames this protocol."""

    code = "unknown_stream_protocol"


class Speaking(Protocol):
    """The run that a stream speaks of."""

    @property
    def run(self) -> str:
        """Its id."""

    @property
    def session(self) -> str:
        """The chat that it is part of."""


def adapter_for(body: WorkflowBody, request: Speaking) -> StreamAdapter:
    """The adapter of the protocol the caller asked for."""
    # lfx costs a fifth of a second and 15 MB to import: only those pay who stream.
    from lfx.workflow.adapters import (
        StreamAdapterContext,
        UnknownStreamProtocolError,
        get_stream_adapter,
    )

    wanted = body.expose_graph_state
    exposed = body.stream_protocol not in _WithoutGraphByDefault if wanted is None else wanted
    context = StreamAdapterContext(run_id=request.run, thread_id=request.session, expose_graph_state=exposed)
    try:
        return get_stream_adapter(body.stream_protocol, context)
    except UnknownStreamProtocolError as cause:
        raise UnknownProtocolError(f"`stream_protocol`: {cause}.") from cause


async def frames(
    events: AsyncGenerator[ev.Recorded, None], adapter: StreamAdapter, request: RunRequest
) -> AsyncGenerator[bytes, None]:
    """The run's frames, from the adapter's opening to its end, error or cancellation."""
    async with aclosing(events), aclosing(frames_after(events, adapter, request.flow, after=None)) as told:
        async for frame in told:
            yield frame


async def frames_after(
    events: AsyncIterator[ev.Recorded], adapter: StreamAdapter, flow: Flow, *, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The frames of a run that is followed from its start, without those up to the id `after`.

    Which frames there are follows from the journal alone, so an id means the same frame each time.
    """
    seq = 0
    async with aclosing(_said(events, adapter, flow)) as said:
        async for event in said:
            if after is None or seq > after:
                yield sse(event.data_json.encode(), seq=seq)
            seq += 1


async def _said(
    events: AsyncIterator[ev.Recorded], adapter: StreamAdapter, flow: Flow
) -> AsyncGenerator[StreamEvent, None]:
    words = Words(flow, starts=adapter.name == "agui")
    # Said with the first event: by then the run is on record, and whoever hears of it may ask about it at once.
    opening = adapter.initial_events()
    try:
        async for recorded in events:
            for event in (*opening, *_translated(recorded, adapter, words)):
                yield event
            opening = ()
    except Exception as error:  # noqa: BLE001 - a stream has only its frames to say it with
        for event in (*opening, *_last_words(adapter, error)):
            yield event


def _last_words(adapter: StreamAdapter, error: Exception) -> Iterable[StreamEvent]:
    match error:
        case RunCancelledError():
            return adapter.cancel_events(error.message)
        case FlowRayError():
            return adapter.error_events(error)
        case _:
            return adapter.error_events(FlowRayError(_said_of(error)))


def _said_of(error: Exception) -> str:
    return error.message if isinstance(error, FlowRayError) else str(incident("workflow stream")["detail"])


def _translated(recorded: ev.Recorded, adapter: StreamAdapter, words: Words) -> Iterator[StreamEvent]:
    event = recorded.event
    if isinstance(event, ev.RunFinished) and event.status == "cancelled":
        yield from adapter.cancel_events(event.error or "The run was cancelled.")
        return
    for kind, said in words.say(recorded):
        yield from adapter.translate(kind, said)
    if isinstance(event, ev.RunFinished) and event.status == "succeeded":
        yield from adapter.final_events()


async def plain_frames(events: AsyncGenerator[ev.Recorded, None], flow: Flow) -> AsyncGenerator[bytes, None]:
    """The run as the editor's build streams it: each event a JSON object, with an empty line after it."""
    words = Words(flow)
    async with aclosing(events):
        async for recorded in events:
            for kind, said in words.say(recorded):
                yield langflow_frame(kind, said)


async def plain_stream(events: AsyncGenerator[ev.Recorded, None], flow: Flow) -> AsyncGenerator[bytes, None]:
    """The same while its reader waits: a run that is stopped, or cannot be read on, is told as an error and an end."""
    async with aclosing(plain_frames(events, flow)) as told:
        try:
            async for frame in told:
                yield frame
        except Exception as error:  # noqa: BLE001 - a stream has only its frames to say it with
            said = _said_of(error)
            yield langflow_frame("error", {"text": said, "category": "error", "error": said})
            yield langflow_frame("end", {})


class Words:
    """Says journal events as the events of Langflow's EventManager."""

    def __init__(self, flow: Flow, *, starts: bool = False) -> None:
        # Langflow's own streams are silent about a node's start; AG-UI has it that a step starts before it finishes.
        self._starts = starts
        self._told = False
        self._flow = flow
        self._terminal = {node.id for node in terminal_nodes(flow)}
        self._stopped: dict[str, list[str]] = {}
        self._began = 0.0

    def say(self, recorded: ev.Recorded) -> Iterable[tuple[str, dict[str, Any]]]:
        """The EventManager events that a journal's event stands for, as kind and data."""
        event, at = recorded.event, recorded.at
        match event:
            case ev.Token() | ev.MessageAdded() | ev.Log():
                return _spoken(event)
            case ev.NodeStarted() | ev.NodeFinished() | ev.NodeFailed() | ev.NodePaused():
                return self._of_node(event, at)
            case ev.RunStarted():
                self._began = at
                first = first_layer(self._flow)
                ids = [*first, *(node.id for node in self._flow.nodes if node.id not in first)]
                return [("vertices_sorted", {"ids": first, "to_run": ids}), ("build_start", {})]
            case ev.RunFinished():
                return self._end(event, at - self._began)
            case ev.BranchStopped():
                self._stopped.setdefault(event.node, []).extend(event.nodes)
        return []

    def _of_node(
        self, event: ev.NodeStarted | ev.NodeFinished | ev.NodeFailed | ev.NodePaused, at: float
    ) -> list[tuple[str, dict[str, Any]]]:
        match event:
            case ev.NodeStarted(node=node):
                return [("build_start", {"id": node})] if self._starts else []
            case ev.NodeFinished():
                return [("end_vertex", self._end_of(event, at))]
            case ev.NodeFailed():
                self._told = True
                return [("error", self._error(event)), ("end_vertex", self._end_of(event, at))]
            case ev.NodePaused(request=request):
                return [("human_input_required", request)] if isinstance(request, dict) else []

    def _end(self, event: ev.RunFinished, took_s: float) -> list[tuple[str, dict[str, Any]]]:
        end = ("end", {"build_duration": round(took_s, 3)})
        if event.status == "succeeded":
            return [end]
        error = [] if self._told else [("error", self._error(event))]
        # AG-UI has nothing come after an error; in Langflow's own words a build ends, however it went.
        return error if self._starts else [*error, end]

    def _error(self, event: ev.NodeFailed | ev.RunFinished) -> dict[str, Any]:
        """What went wrong, in the fields of a chat message that Langflow's clients show, and in our own."""
        node = self._flow.by_id.get(event.node) if event.node else None
        return {
            "text": event.error,
            "category": "error",
            "sender_name": node.display_name if node else "",
            "error": event.error,
            "node": event.node,
            "error_type": event.error_type,
            "traceback": event.traceback,
        }

    def _end_of(self, event: ev.NodeFinished | ev.NodeFailed, at: float) -> dict[str, Any]:
        build = build_data(event, self._flow, at=at, stopped=self._stopped.pop(event.node, []))
        node = self._flow.by_id.get(event.node)
        return {"build_data": build, "output_meta": self._meta(node) if node else {}}

    def _meta(self, node: Node) -> dict[str, Any]:
        return {
            "component_id": node.id,
            "display_name": node.display_name,
            "is_output": node.is_output,
            "is_terminal": node.id in self._terminal,
            "output_types": list(node.outputs[0].types) if node.outputs else [],
            "vertex_type": node.component,
        }


def _spoken(event: ev.Token | ev.MessageAdded | ev.Log) -> list[tuple[str, dict[str, Any]]]:
    match event:
        case ev.Token():
            return [("token", {"chunk": event.text, "id": event.message})]
        case ev.MessageAdded():
            return [("add_message", event.message)] if isinstance(event.message, dict) else []
        case ev.Log():
            return [("log", {"component_id": event.node, "name": event.name, "message": event.text})]
