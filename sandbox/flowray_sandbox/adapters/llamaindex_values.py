"""What LlamaIndex's engines and workflows answer, as text, documents and JSON; pieces are told as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow
from llama_index.core.agent.workflow.base_agent import BaseWorkflowAgent
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.schema import NodeWithScore
from llama_index.core.workflow import StartEvent, Workflow

from flowray_sandbox.adapters.adapter import Document, Given, Outcome, Told
from flowray_sandbox.adapters.given import plain


async def told_of_response(response: Any, told: Told) -> Outcome:
    """A query engine's answer."""
    match response:
        case AsyncStreamingResponse():
            text = await _spoken(response.async_response_gen(), told)
        case StreamingResponse():
            text = await asyncio.to_thread(_spoken_here, response.response_gen, told)
        case _:
            text = str(response)
    nodes = getattr(response, "source_nodes", None) or []
    outputs = {"response": text, "metadata": getattr(response, "metadata", None) or {}}
    return Outcome(text=text, documents=_documents(nodes), outputs=plain(outputs))


async def told_of_chat(response: StreamingAgentChatResponse, told: Told) -> Outcome:
    """A chat engine's answer while it is made."""
    text = await _spoken(response.async_response_gen(), told)
    return Outcome(text=text, documents=_documents(response.source_nodes), outputs={"response": text})


def of_chat(response: AgentChatResponse) -> Outcome:
    """A chat engine's answer."""
    text = str(response)
    return Outcome(text=text, documents=_documents(response.source_nodes), outputs={"response": text})


def of_nodes(nodes: Sequence[NodeWithScore]) -> Outcome:
    """What a retriever found: its texts are the answer."""
    documents = _documents(nodes)
    text = "\n\n".join(document.text for document in documents)
    return Outcome(text=text, documents=documents, outputs={"count": len(documents)})


async def told_of_workflow(workflow: Workflow, given: Given, told: Told) -> Outcome:
    """A workflow's result, or an agent's; what its events stream is told on the way."""
    handler = workflow.run(**_start(workflow, given))
    try:
        async for event in handler.stream_events():
            piece = getattr(event, "delta", None)
            if not isinstance(piece, str):
                told.note("event", type(event).__name__)
            elif told.piece is not None:
                told.piece(piece)
        result = await handler
    finally:
        if not handler.done():
            handler.cancel()
    return _of_result(result)


def _start(workflow: Workflow, given: Given) -> dict[str, Any]:
    """What the start event gets: the text under the names that it has room for, and the further inputs."""
    if given.text is None:
        return dict(given.inputs)
    if isinstance(workflow, AgentWorkflow | BaseWorkflowAgent):
        return {"user_msg": given.text, **given.inputs}
    start = workflow.start_event_class
    if start is StartEvent:
        return {"input": given.text, **given.inputs}
    fields = start.model_fields
    left = [name for name, field in fields.items() if field.annotation is str and name not in given.inputs]
    asking = [name for name in left if fields[name].is_required()] or left[:1]
    return {**dict.fromkeys(asking, given.text), **given.inputs}


def _of_result(result: Any) -> Outcome:
    nodes = getattr(result, "source_nodes", None) or []
    if isinstance(result, dict):
        spoken = next((result[name] for name in ("text", "result", "response") if name in result), None)
        return Outcome(text=str(result if spoken is None else spoken), outputs=plain(result))
    message = getattr(result, "response", None)  # an agent's answer is a message
    text = getattr(message, "content", None) or str(result)
    return Outcome(text=str(text), documents=_documents(nodes), outputs={"result": plain(result)})


async def _spoken(pieces: Any, told: Told) -> str:
    parts = []
    async for piece in pieces:
        parts.append(str(piece))
        if told.piece is not None:
            told.piece(str(piece))
    return "".join(parts)


def _spoken_here(pieces: Any, told: Told) -> str:
    parts = []
    for piece in pieces:
        parts.append(str(piece))
        if told.piece is not None:
            told.piece(str(piece))
    return "".join(parts)


def _documents(nodes: Sequence[NodeWithScore]) -> list[Document]:
    return [_document(one) for one in nodes]


def _document(one: NodeWithScore) -> Document:
    score = {} if one.score is None else {"score": float(one.score)}
    return Document(text=one.node.get_content(), facts={**one.node.metadata, "id": one.node.node_id, **score})


def used_by(response: Any) -> tuple[str, int, int]:
    """The model, tokens in and tokens out of a call; 0 where its provider does not say."""
    raw = getattr(response, "raw", None)
    usage = _part(raw, "usage")
    spent = _part(usage, "prompt_tokens") or _part(usage, "input_tokens") or 0
    made = _part(usage, "completion_tokens") or _part(usage, "output_tokens") or 0
    return str(_part(raw, "model") or ""), int(spent), int(made)


def _part(owner: Any, name: str) -> Any:
    return owner.get(name) if isinstance(owner, dict) else getattr(owner, name, None)
