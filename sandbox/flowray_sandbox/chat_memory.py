"""Chat memory inside the walls: lfx's functions for messages, which speak the run's channel.

What is stored is told and not waited for: the host writes it before it answers the next question, and before the step
ends. It keeps and reads messages of this run's flow only, whatever a component says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from lfx.memory.flow_context import should_persist_messages
from lfx.schema.message import Message

from flowray_sandbox import outside
from flowray_sandbox.report import json_of

# lfx's own order of the arguments of `aget_messages`.
_ARGUMENTS = (
    *("sender", "sender_name", "session_id", "context_id", "order_by", "order", "flow_id", "limit", "user_id"),
)
_FILTERS = ("sender", "sender_name", "session_id", "context_id")
_DELETING_NEEDS = "Either session_id or context_id must be provided to delete messages."


async def astore_message(message: Message, flow_id: Any = None, run_id: Any = None, user_id: Any = None) -> list[Any]:
    """Keep a message, and give it an id."""
    return _stored(message, flow_id, run_id, user_id)


def store_message(message: Message, flow_id: Any = None, run_id: Any = None, user_id: Any = None) -> list[Any]:
    """The same, for code that cannot wait."""
    return _stored(message, flow_id, run_id, user_id)


async def aadd_messages(messages: Any, flow_id: Any = None, run_id: Any = None, user_id: Any = None) -> list[Any]:
    """Keep several."""
    return add_messages(messages, flow_id, run_id, user_id)


def add_messages(messages: Any, flow_id: Any = None, run_id: Any = None, user_id: Any = None) -> list[Any]:
    """The same, for code that cannot wait."""
    several = messages if isinstance(messages, list) else [messages]
    return [stored for message in several for stored in _stored(message, flow_id, run_id, user_id)]


async def aadd_messagetables(messages: Any, session: Any = None) -> list[Any]:  # noqa: ARG001 - lfx's signature
    """An older name for `aadd_messages`."""
    return add_messages(messages)


async def aupdate_messages(messages: Any) -> list[Any]:
    """Change messages that are kept."""
    several = messages if isinstance(messages, list) else [messages]
    for message in several:
        if not message.has_id():
            raise ValueError(f"Message without ID cannot be updated: {message}")
    _tell_kept(several)
    return several


async def delete_message(id_: str) -> None:
    """Forget a message."""
    if should_persist_messages():
        outside.tell("messages", forget=[str(id_)])


async def adelete_messages(session_id: Any = None, context_id: Any = None, **_: Any) -> None:
    """Forget what was said in a session, or in a context."""
    delete_messages(session_id, context_id)


def delete_messages(session_id: Any = None, context_id: Any = None, **_: Any) -> None:
    """The same, for code that cannot wait."""
    if not session_id and not context_id:
        raise ValueError(_DELETING_NEEDS)
    if should_persist_messages():
        outside.tell("messages", forget_all={"session_id": _text(session_id), "context_id": _text(context_id)})


async def aget_messages(*wanted: Any, **named: Any) -> list[Message]:
    """The messages that fit; see `_question` for what may be asked."""
    if not should_persist_messages():
        return []
    found = await outside.ask("messages.find", **_question(*wanted, **named))
    return [await Message.create(**body) for body in found]  # type: ignore[no-untyped-call]  # lfx


def get_messages(*wanted: Any, **named: Any) -> list[Message]:
    """The same, for code that cannot wait."""
    if not should_persist_messages():
        return []
    return [Message(**body) for body in outside.ask_now("messages.find", **_question(*wanted, **named))]


def _question(*wanted: Any, **named: Any) -> dict[str, Any]:
    """What the host is asked; which flow this is, and whose, it knows itself."""
    asked = dict(zip(_ARGUMENTS, wanted, strict=False)) | named
    filters = {name: str(asked[name]) for name in _FILTERS if asked.get(name)}
    newest_first = asked.get("order", "DESC") == "DESC"
    order_by = asked.get("order_by") or "timestamp"
    return {**filters, "order_by": order_by, "newest_first": newest_first, "limit": asked.get("limit") or None}


def _stored(message: Message, flow_id: Any, run_id: Any, user_id: Any) -> list[Any]:
    if not message or not should_persist_messages():
        return [message] if message else []
    if not message.session_id or not message.sender or not message.sender_name:
        raise ValueError(
            f"All of session_id, sender, and sender_name must be provided. Session ID: {message.session_id},"
            f" Sender: {message.sender}, Sender Name: {message.sender_name}"
        )
    if flow_id:
        message.flow_id = str(flow_id)
    if run_id:
        message.run_id = str(run_id)
    if not message.has_id() or not _is_uuid(message.id):
        message.id = str(uuid4())
    _tell_kept([message], user_id)
    return [message]


def _tell_kept(messages: Sequence[Message], user_id: Any = None) -> None:
    if should_persist_messages():
        outside.tell("messages", keep=[_body(message, user_id) for message in messages])


def _body(message: Message, user_id: Any) -> Mapping[str, Any]:
    """The message as Langflow keeps it."""
    text = message.text
    body = {
        "id": str(message.id),
        "timestamp": message.timestamp,
        "sender": message.sender,
        "sender_name": message.sender_name,
        "session_id": _text(message.session_id),
        "context_id": _text(message.context_id),
        "run_id": _text(message.run_id) or None,
        "user_id": _text(user_id) or None,
        "text": text if isinstance(text, str) else "",
        "files": [file if isinstance(file, str) else str(getattr(file, "path", file)) for file in message.files or ()],
        "error": bool(message.error),
        "edit": bool(message.edit),
        "category": message.category or "",
        "properties": message.properties.model_dump(mode="json"),
        "content_blocks": [
            block.model_dump(mode="json") if hasattr(block, "model_dump") else block for block in message.content_blocks
        ],
        "session_metadata": message.session_metadata,
    }
    return {name: json_of(value) for name, value in body.items()}


def _text(value: Any) -> str:
    return str(value) if value else ""


def _is_uuid(value: Any) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
