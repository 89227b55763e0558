"""LlamaIndex: whatever the source's `build` returns and that answers: engines, retrievers, agents, workflows."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import sys
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from llama_index.core import Document as LlamaDocument
from llama_index.core import VectorStoreIndex, get_response_synthesizer  # noqa: F401 - imported in advance
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index.core.workflow import Workflow
from llama_index.llms import openai_like  # noqa: F401 - imported in advance
from llama_index.llms.openai import OpenAI

from flowray_sandbox.adapters import llamaindex_values as values
from flowray_sandbox.adapters.adapter import Given, Outcome, Told

_FILE, _MODULE = "<source>", "source_of_node"
_told: ContextVar[Told | None] = ContextVar("llamaindex_told", default=None)


class LlamaIndex:
    """Runs what a source builds."""

    async def run(self, given: Given, told: Told) -> Outcome:
        """Build it, ask it, and read its answer."""
        mark = _told.set(told)
        try:
            built = await _built(given, streaming=told.piece is not None)
            return await _asked(built, given, told)
        finally:
            await asyncio.sleep(0)  # streams that were read to their end close themselves now
            _told.reset(mark)


async def _built(given: Given, *, streaming: bool) -> Any:
    # A traceback then shows the source's own lines.
    linecache.cache[_FILE] = (len(given.definition), None, given.definition.splitlines(keepends=True), _FILE)
    # A module of its own, for those who look up annotations there.
    sys.modules[_MODULE] = module = ModuleType(_MODULE)
    exec(compile(given.definition, _FILE, "exec"), module.__dict__)  # noqa: S102 - the node's own, behind the walls
    build = getattr(module, "build", None)
    if not callable(build):
        raise TypeError("The source defines no function `build`.")
    documents = [LlamaDocument(text=one.text, metadata=dict(one.facts)) for one in given.documents]
    offered = {"documents": documents, "inputs": dict(given.inputs), "streaming": streaming}
    made = build(**{name: offered[name] for name in inspect.signature(build).parameters if name in offered})
    return await made if inspect.isawaitable(made) else made


async def _asked(built: Any, given: Given, told: Told) -> Outcome:
    text = given.text or ""
    match built:
        case BaseQueryEngine():
            return await values.told_of_response(await built.aquery(text), told)
        case BaseChatEngine() if told.piece is not None:
            return await values.told_of_chat(await built.astream_chat(text), told)
        case BaseChatEngine():
            return values.of_chat(await built.achat(text))
        case BaseRetriever():
            return values.of_nodes(await built.aretrieve(text))
        case Workflow():
            return await values.told_of_workflow(built, given, told)
        case _:
            raise TypeError(
                f"`build` returned a {type(built).__name__}. It has to return a query engine, a chat engine, a "
                "retriever, an agent or a workflow."
            )


class _Ear(BaseEventHandler):
    """Hears each call of a model."""

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex wants one."""
        return "FlowRayEar"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """A call has ended: tell what it used, when its provider says so."""
        told = _told.get()
        if told is not None and isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            told.used(*values.used_by(event.response))


def _with_usage(self: OpenAI, **asked: Any) -> dict[str, Any]:
    """Ask for a streamed answer's usage, which otherwise nobody would know."""
    settled = dict(_original_settled(self, **asked))
    if settled.get("stream"):
        settled.setdefault("stream_options", {"include_usage": True})
    return settled


_original_settled = OpenAI._get_model_kwargs  # noqa: SLF001 - where all of its calls take their options from
OpenAI._get_model_kwargs = _with_usage  # noqa: SLF001
get_dispatcher().add_event_handler(_Ear())
ADAPTER = LlamaIndex()
