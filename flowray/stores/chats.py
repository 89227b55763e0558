"""Chat messages as they are kept, which of them somebody wants, and the store that flows and people read them from."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from flowray.flow.types import Json

# A chat keeps its newest messages; a flow that never names a session has one chat for all its runs.
CHAT_LIMIT = 10_000
_TICK_S = 1e-6
ORDERS = frozenset({"timestamp", "sender", "sender_name", "session_id", "text", "id"})
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S.%f %Z", "%Y-%m-%d %H:%M:%S %Z")
# What nearly all of them look like; `strptime` takes twenty times as long.
_USUAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?) UTC")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatMessage:
    """One message. `body` has the fields of Langflow's MessageRead; `at` is when it was said, in seconds."""

    id: str
    flow: str
    session: str
    at: float
    body: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which messages somebody wants; None is any. Errors are left out unless they are asked for."""

    flow: str | None = None
    session: str | None = None
    context: str | None = None
    sender: str | None = None
    sender_name: str | None = None
    errors: bool = False
    order_by: str = "timestamp"
    newest_first: bool = False
    limit: int | None = None

    def fits(self, message: ChatMessage) -> bool:
        """Whether a message is one of them."""
        body = message.body
        told = ((self.flow, message.flow), (self.session, message.session))
        said = ((self.context, "context_id"), (self.sender, "sender"), (self.sender_name, "sender_name"))
        return (
            all(wanted in (None, found) for wanted, found in told)
            and all(wanted in (None, body.get(name)) for wanted, name in said)
            and (self.errors or not body.get("error"))
        )


def select(messages: Iterable[ChatMessage], wanted: Wanted) -> tuple[ChatMessage, ...]:
    """The wanted ones among these, in the wanted order."""
    found = sorted((one for one in messages if wanted.fits(one)), key=lambda one: one.at)
    if wanted.order_by != "timestamp":
        found.sort(key=lambda one: str(one.body.get(wanted.order_by) or ""))
    if wanted.newest_first:
        found.reverse()
    return tuple(found[: wanted.limit])


def seconds_of(timestamp: Json) -> float:
    """When a message was said, from one of the ways Langflow writes it; now when it does not say."""
    text = str(timestamp or "")
    if usual := _USUAL.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(usual[1]).replace(tzinfo=UTC).timestamp()
    for pattern in _TIME_FORMATS:
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC).timestamp()
    return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()


class Chats(Protocol):
    """The messages of all tenants. A chat is what was said in one session of one flow."""

    async def add(self, tenant: str, messages: Sequence[ChatMessage]) -> None:
        """Keep messages; one with an id that its chat has replaces it."""

    async def find(self, tenant: str, wanted: Wanted) -> tuple[ChatMessage, ...]:
        """The messages that are wanted."""

    async def read(self, tenant: str, message: str) -> ChatMessage | None:
        """The message with this id."""

    async def remove(self, tenant: str, messages: Collection[str]) -> int:
        """Forget messages by id; how many there were."""

    async def remove_session(self, tenant: str, session: str, *, flow: str | None = None) -> int:
        """Forget what was said in a session, of one flow or of all; how many messages that was."""

    async def rename_session(self, tenant: str, old: str, new: str, *, flow: str | None = None) -> int:
        """Give a session another name; how many messages it had."""

    async def sessions(self, tenant: str, *, flow: str | None = None) -> tuple[str, ...]:
        """The sessions that have messages, the one that was spoken in last first."""

    async def remove_silent(self, tenant: str, *, before: float) -> int:
        """Forget the chats that nobody has spoken in since then, in seconds; how many messages that was."""


class MemoryChats:
    """Chats of a process that has them for itself."""

    def __init__(self, *, limit: int = CHAT_LIMIT) -> None:
        self._limit = limit
        self._kept: defaultdict[str, dict[str, ChatMessage]] = defaultdict(dict)
        self._spoken: defaultdict[str, dict[tuple[str, str], float]] = defaultdict(dict)
        self._last_at = 0.0

    async def add(self, tenant: str, messages: Sequence[ChatMessage]) -> None:
        """See `Chats`."""
        await asyncio.sleep(0)
        for message in messages:
            # No two at the same time, so that their order is known.
            self._last_at = max(time.time(), self._last_at + _TICK_S)
            self._kept[tenant][message.id] = message
            self._spoken[tenant][message.flow, message.session] = self._last_at
        for flow, session in {(one.flow, one.session) for one in messages}:
            wanted = Wanted(flow=flow, session=session, errors=True, newest_first=True)
            for old in select(self._kept[tenant].values(), wanted)[self._limit :]:
                del self._kept[tenant][old.id]

    async def find(self, tenant: str, wanted: Wanted) -> tuple[ChatMessage, ...]:
        """See `Chats`."""
        return select(self._kept[tenant].values(), wanted)

    async def read(self, tenant: str, message: str) -> ChatMessage | None:
        """See `Chats`."""
        return self._kept[tenant].get(message)

    async def remove(self, tenant: str, messages: Collection[str]) -> int:
        """See `Chats`."""
        return sum(self._kept[tenant].pop(message, None) is not None for message in set(messages))

    async def remove_session(self, tenant: str, session: str, *, flow: str | None = None) -> int:
        """See `Chats`."""
        found = await self.find(tenant, Wanted(flow=flow, session=session, errors=True))
        return await self.remove(tenant, [one.id for one in found])

    async def rename_session(self, tenant: str, old: str, new: str, *, flow: str | None = None) -> int:
        """See `Chats`."""
        found = await self.find(tenant, Wanted(flow=flow, session=old, errors=True))
        await self.add(tenant, [renamed(one, new) for one in found])
        return len(found)

    async def sessions(self, tenant: str, *, flow: str | None = None) -> tuple[str, ...]:
        """See `Chats`."""
        there = {(one.flow, one.session) for one in self._kept[tenant].values() if flow in (None, one.flow)}
        return newest_sessions({chat: self._spoken[tenant][chat] for chat in there})

    async def remove_silent(self, tenant: str, *, before: float) -> int:
        """See `Chats`."""
        silent = {chat for chat, at in self._spoken[tenant].items() if at < before}
        gone = [one.id for one in self._kept[tenant].values() if (one.flow, one.session) in silent]
        return await self.remove(tenant, gone)


def newest_sessions(spoken: Mapping[tuple[str, str], float]) -> tuple[str, ...]:
    """The sessions of these chats, from when each was spoken in last."""
    chats = sorted(spoken, key=lambda chat: spoken[chat], reverse=True)
    return tuple(dict.fromkeys(session for _, session in chats))


def renamed(message: ChatMessage, session: str) -> ChatMessage:
    """The message in another session."""
    return ChatMessage(
        id=message.id,
        flow=message.flow,
        session=session,
        at=message.at,
        body={**message.body, "session_id": session},
    )
