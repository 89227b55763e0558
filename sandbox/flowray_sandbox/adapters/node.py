"""A node of another framework as lfx's graph sees it: a component with fields and ports, which an adapter runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import ClassVar, cast

from langchain_core.messages import AIMessageChunk
from lfx.custom.custom_component.component import Component
from lfx.graph.vertex.base import Vertex
from lfx.schema.data import Data
from lfx.schema.dataframe import DataFrame
from lfx.schema.message import Message
from lfx.schema.properties import Usage
from lfx.template.field.base import Output
from lfx.utils.constants import MESSAGE_SENDER_AI

from flowray_sandbox import tokens
from flowray_sandbox.adapters import given
from flowray_sandbox.adapters.adapter import Outcome, Told
from flowray_sandbox.adapters.shapes import Shape, adapter_for, shapes

_END = None


def component_for(vertex: Vertex) -> type[AdapterNode] | None:
    """The component of a node that brings no source of its own and is an adapter's; none for all others."""
    kind = str(vertex.data.get("type"))
    if kind not in shapes() or "code" in vertex.data["node"]["template"]:
        return None
    return _component(kind)


@cache
def _component(kind: str) -> type[AdapterNode]:
    shape = shapes()[kind]
    frontend = shape["node"]
    outputs = [
        Output(name=one["name"], display_name=one["display_name"], types=one["types"], method=one["method"])
        for one in frontend["outputs"]
    ]
    words = {name: frontend[name] for name in ("display_name", "description", "icon")}
    return type(kind, (AdapterNode,), {"shape": shape, "name": kind, "outputs": outputs, **words})


class AdapterNode(Component):  # type: ignore[no-untyped-call]  # lfx
    """Runs its adapter once, however many of its ports are read."""

    shape: ClassVar[Shape]

    def _pre_run_setup(self) -> None:
        """Forget the last run: in a circle a node is built again."""
        self._outcome: Outcome | None = None
        self._counted = [0, 0]

    async def give_text(self) -> Message:
        """The answer, told piece by piece to a chat that listens."""
        if not self._is_heard():
            return Message(text=(await self._ran()).text)
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        running = asyncio.create_task(self._running(_speaker(pieces)), name=self._id)
        running.add_done_callback(lambda _: pieces.put_nowait(_END))
        try:
            return await self._spoken(pieces, running)
        finally:
            running.cancel()

    async def give_documents(self) -> DataFrame:
        """The documents, a row each."""
        documents = (await self._ran()).documents
        return DataFrame([{**document.facts, "text": document.text} for document in documents])

    async def give_outputs(self) -> Data:
        """All that came out."""
        return Data(data=dict((await self._ran()).outputs))

    async def _spoken(self, pieces: asyncio.Queue[str | None], running: asyncio.Task[Outcome]) -> Message:
        first = await pieces.get()
        if first is _END:
            return Message(text=(await running).text)
        message = Message(
            text=_chunks(first, pieces, running),
            sender=MESSAGE_SENDER_AI,
            sender_name="AI",
            properties={"icon": self.icon, "state": "partial"},
            session_id=self.graph.session_id,
        )
        message.properties.source = self._build_source(self._id, self.display_name, None)
        message = cast("Message", await self.send_message(message))
        # What was spoken on the way may be more than what it comes to in the end.
        message.text = (await running).text
        return message

    def _is_heard(self) -> bool:
        streams = bool(self._attributes.get("stream")) and self._event_manager is not None
        return streams and bool(self.graph.session_id) and self.is_connected_to_chat_output()

    async def _ran(self) -> Outcome:
        return self._outcome if self._outcome is not None else await self._running(None)

    async def _running(self, piece: Callable[[str], None] | None) -> Outcome:
        told = Told(piece=piece, note=self._note, used=self._used)
        adapter = adapter_for(self.shape)
        self._outcome = await adapter.run(given.read(self.shape, self._vertex, self._attributes), told)
        spent, made = self._counted
        if spent or made:
            self._token_usage = Usage(input_tokens=spent, output_tokens=made, total_tokens=spent + made)
        return self._outcome

    def _note(self, name: str, text: str) -> None:
        self.log(text, name=name)

    def _used(self, model: str, spent: int, made: int) -> None:
        self._counted = [self._counted[0] + spent, self._counted[1] + made]
        tokens.heard(model, spent, made)


async def _chunks(
    first: str, pieces: asyncio.Queue[str | None], running: asyncio.Task[Outcome]
) -> AsyncIterator[AIMessageChunk]:
    piece: str | None = first
    while piece is not _END:
        yield AIMessageChunk(content=piece)  # lfx streams what models stream
        piece = await pieces.get()
    await running  # what failed after the first words fails here, as a model's stream does


def _speaker(pieces: asyncio.Queue[str | None]) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def speak(piece: str) -> None:
        if piece:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    return speak
