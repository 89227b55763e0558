"""Chats in the object store: per chat a row of small segments, each what was written and forgotten since the last.

A segment is a gzipped list: who it is of, then changes in order. When the row gets long, its latest segments become
one, as many as are together as large as the one before them: a message is written anew a few times only, however long
its chat. When that is the whole row, and when something was forgotten, the new one has what the chat keeps.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Final

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.flow.types import Json
from flowray.stores.chats import CHAT_LIMIT, ChatMessage, seconds_of
from flowray.stores.objects import Listed, ObjectStore
from flowray.stores.paths import path, spelled, unspelled

_GZIP: Final = 31
_ROW_LIMIT: Final = 32

Chat = tuple[str, str]
Change = Mapping[str, Json]


class ChatSegments:
    """The record of chats. Whoever appends to a chat is the only one who does, for as long as that takes."""

    def __init__(self, objects: ObjectStore, *, limit: int = CHAT_LIMIT) -> None:
        self._objects = objects
        self._limit = limit

    async def append(self, tenant: str, chat: Chat, changes: Sequence[Change]) -> None:
        """Add changes, in the order they were made."""
        row = await self._row(tenant, chat)
        # What was forgotten has to go from the record too.
        latest = row if any("gone" in change for change in changes) else _to_join(row)
        segments = (await self._objects.get_all(one.key for one in latest)).values()
        told = (chat, segments, changes, self._limit if len(latest) == len(row) else None)
        # In a thread, as whoever waits for the event loop would wait for thousands of messages.
        packed = await asyncio.to_thread(_joined, *told) if latest else _joined(*told)
        if packed is not None:
            await self._objects.put(f"{_folder(tenant, chat)}/{_next(row):09d}.json.gz", packed)
        for one in latest:
            await self._objects.delete(one.key)

    async def load(self, tenant: str, chat: Chat, *, since: Sequence[Change] = ()) -> Mapping[str, ChatMessage]:
        """All messages by id, after these later changes."""
        return replay([*await self._changes(await self._row(tenant, chat)), *since])

    async def chats(self, tenant: str) -> AsyncGenerator[tuple[Chat, float], None]:
        """The chats there are, with when each was written last."""
        latest: dict[str, Listed] = {}
        async for one in self._objects.list(path(tenant, "chats")):
            folder = one.key.rpartition("/")[0]
            if folder not in latest or latest[folder].modified < one.modified:
                latest[folder] = one
        for folder, one in latest.items():
            flow, session = (unspelled(name) for name in folder.split("/")[-2:])
            if flow is None or session is None:
                flow, session = (await self._read(one))[0]["of"]
            yield (flow, session), one.modified.timestamp()

    async def _row(self, tenant: str, chat: Chat) -> list[Listed]:
        found = [one async for one in self._objects.list(_folder(tenant, chat))]
        return sorted(found, key=lambda one: one.key)

    async def _changes(self, row: Sequence[Listed]) -> list[Change]:
        return [change for one in row for change in (await self._read(one))[1:]]

    async def _read(self, one: Listed) -> list[Change]:
        try:
            return _unpacked(await self._objects.get(one.key))
        except NotFoundError:  # just replaced by one that says the same
            return [{}]


def _to_join(row: Sequence[Listed]) -> Sequence[Listed]:
    """The segments, up to the last one, that the next one shall replace: none in a short row."""
    if len(row) < _ROW_LIMIT:
        return ()
    first, after = len(row) - 1, 0
    for place in reversed(range(len(row))):
        if row[place].size <= after:
            first = place
        after += row[place].size
    return row[first:]


def _joined(chat: Chat, segments: Iterable[bytes], changes: Sequence[Change], limit: int | None) -> bytes | None:
    """One segment for several. With a limit it has the newest messages and nothing else; None when there are none."""
    told = [*(change for one in segments for change in _unpacked(one)[1:]), *changes]
    if limit is None:
        return _packed(chat, told)
    newest = sorted(replay(told).values(), key=lambda one: one.at)[-limit:]
    return _packed(chat, [{"all": [dict(one.body) for one in newest]}]) if newest else None


def _packed(chat: Chat, changes: Sequence[Change]) -> bytes:
    packer = zlib.compressobj(level=3, wbits=_GZIP)
    return packer.compress(dumps([{"of": list(chat)}, *changes])) + packer.flush()


def _unpacked(packed: bytes) -> list[Change]:
    found: list[Change] = loads(zlib.decompress(packed, wbits=_GZIP))
    return found


def replay(changes: Sequence[Change]) -> dict[str, ChatMessage]:
    """The messages that are left after these changes."""
    kept: dict[str, ChatMessage] = {}
    for change in changes:
        if "all" in change:
            kept = {one.id: one for one in map(message_of, change["all"])}
        for body in change.get("put") or ():
            kept[body["id"]] = message_of(body)
        for gone in change.get("gone") or ():
            kept.pop(gone, None)
    return kept


def message_of(body: Mapping[str, Json]) -> ChatMessage:
    """A message as its own record says it."""
    return ChatMessage(
        id=str(body["id"]),
        flow=str(body.get("flow_id") or ""),
        session=str(body.get("session_id") or ""),
        at=seconds_of(body.get("timestamp")),
        body=body,
    )


def _folder(tenant: str, chat: Chat) -> str:
    flow, session = chat
    return path(tenant, "chats", spelled(flow), spelled(session))


def _next(row: Sequence[Listed]) -> int:
    return int(row[-1].key.rpartition("/")[2].partition(".")[0]) + 1 if row else 1
