"""Chat memory as steps ask for it: a run keeps and reads the messages of its own flow, in its own tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from flowray.engine.codec import dumps
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError
from flowray.flow.types import Json
from flowray.runner.asking import Answer, Ask
from flowray.stores.chats import CHAT_LIMIT, ORDERS, ChatMessage, Chats, Wanted, seconds_of

_NAME_LENGTH: Final = 1_000
_MESSAGE_BYTES: Final = 1024 * 1024
# How much of each text of a longer message is kept: the most with which it fits.
_LONGEST_CHARS: Final = (200_000, 20_000, 2_000)
# Together they have to fit into one frame.
_ANSWER_BYTES: Final = 7 * 1024 * 1024


class ChatDesk:
    """Finds and keeps messages; nothing that a sandbox says decides whose they are."""

    def __init__(self, chats: Chats) -> None:
        self._chats = chats

    async def find(self, request: RunRequest, ask: Ask) -> Answer:
        """The messages of this flow that fit."""
        found = await self._chats.find(request.tenant, _wanted(request.flow_id, ask.details))
        return Answer(value=list(_fitting(found)))

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        """Keep and forget, in the order it was told."""
        kept: dict[str, ChatMessage] = {}
        for ask in told:
            details = ask.details
            kept |= {one.id: one for one in map(_message_of(request), _list(details, "keep"))}
            if "forget" in details or "forget_all" in details:
                await self._chats.add(request.tenant, list(kept.values()))
                kept.clear()
                await self._forget(request, details)
        await self._chats.add(request.tenant, list(kept.values()))

    async def _forget(self, request: RunRequest, details: Mapping[str, Json]) -> None:
        names = [str(name) for name in _list(details, "forget")]
        found = [await self._chats.read(request.tenant, name) for name in names if _is_uuid(name)]
        gone = [one.id for one in found if one is not None and one.flow == request.flow_id]
        where = details.get("forget_all")
        if isinstance(where, dict):
            wanted = _wanted(request.flow_id, {**where, "errors": True})
            gone += [one.id for one in await self._chats.find(request.tenant, wanted)]
        await self._chats.remove(request.tenant, gone)


def _message_of(request: RunRequest) -> Any:
    def message(body: Json) -> ChatMessage:
        if not isinstance(body, dict) or not _is_uuid(body.get("id")):
            raise InvalidRequestError("A chat message is an object with a UUID as its `id`.")
        body = _short(body)
        session, at = _name(body, "session_id"), seconds_of(body.get("timestamp"))
        # Whose run this is decides the owner and the flow; the sandbox only says the rest.
        whose = {"flow_id": request.flow_id, "run_id": request.run, "session_id": session}
        return ChatMessage(id=body["id"], flow=request.flow_id, session=session, at=at, body={**body, **whose})

    return message


def _short(body: dict[str, Json]) -> dict[str, Json]:
    """A message that a chat can keep: of one that is too long, its long texts are cut and say so."""
    for longest in (None, *_LONGEST_CHARS):
        short = body if longest is None else _cut(body, longest)
        if len(dumps(short)) <= _MESSAGE_BYTES:
            return short
    raise InvalidRequestError("A chat message has a megabyte besides its texts; keep large content in a file.")


def _cut(part: Json, longest: int) -> Json:
    match part:
        case str() if len(part) > longest:
            return f"{part[:longest]}… [{len(part):,} characters; a chat keeps the first {longest:,}]"
        case list():
            return [_cut(item, longest) for item in part]
        case dict():
            return {name: _cut(item, longest) for name, item in part.items()}
    return part


def _wanted(flow: str, details: Mapping[str, Json]) -> Wanted:
    limit, order_by = details.get("limit"), details.get("order_by") or "timestamp"
    if order_by not in ORDERS:
        raise InvalidRequestError(f"Invalid order_by field: {str(order_by)[:80]}")
    return Wanted(
        flow=flow,
        session=_name(details, "session_id") or None,
        context=_name(details, "context_id") or None,
        sender=_name(details, "sender") or None,
        sender_name=_name(details, "sender_name") or None,
        errors=details.get("errors") is True,
        order_by=str(order_by),
        newest_first=details.get("newest_first") is True,
        limit=min(limit, CHAT_LIMIT) if type(limit) is int and limit > 0 else CHAT_LIMIT,
    )


def _fitting(messages: Sequence[ChatMessage]) -> Iterator[Mapping[str, Json]]:
    """As many as an answer can carry, the first ones first."""
    size = 0
    for message in messages:
        size += len(dumps(message.body))
        if size > _ANSWER_BYTES:
            return
        yield message.body


def _list(details: Mapping[str, Json], name: str) -> list[Json]:
    found = details.get(name) or []
    return found if isinstance(found, list) else []


def _name(details: Mapping[str, Json], name: str) -> str:
    value = details.get(name) or ""
    if not isinstance(value, str) or len(value) > _NAME_LENGTH:
        raise InvalidRequestError(f"`{name}` of a chat message is a text of at most {_NAME_LENGTH:,} characters.")
    return value


def _is_uuid(value: Json) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
