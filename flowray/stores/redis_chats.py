"""Chats in Redis while somebody speaks in them; in the object store for good.

A chat that is not in Redis is read from its segments when somebody asks for it. What is written waits, in a list of
its own, until it is in the segments as well (see `chat_archiver`). Redis may lose everything: then the chats are listed
anew from the object store, and what was said in the last second is gone with it.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import redis.asyncio

from flowray.engine.codec import dumps, loads
from flowray.errors import StoreUnavailableError
from flowray.stores.chat_segments import Change, Chat, ChatSegments, message_of
from flowray.stores.chats import CHAT_LIMIT, ChatMessage, Wanted, newest_sessions, renamed, select
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

_WEEK_S: Final = 7 * 86_400
_PAGE: Final = 100
_LARGEST_PAGE: Final = 1_000  # Lua passes no more than some thousand values at a time
_CHATS_LOOKED_INTO: Final = 2_000
_TRIES: Final = 4

# KEYS of all three: the chat's messages by id, their order, the tenant's chats, whether those are known, what waits for
# the record, the chats with something waiting. A chat that is known and not there is cold: it has to be loaded first.
_STATE: Final = """
if redis.call('EXISTS', KEYS[4]) == 0 then return {'unknown'} end
if redis.call('EXISTS', KEYS[1]) == 0 and redis.call('ZSCORE', KEYS[3], ARGV[1]) then return {'cold'} end
"""
# And after these, for writing, a key for each message: which chat it is in.
# ARGV: the chat, now, seconds to keep, its name among the waiting, the change, most messages, how those keys begin, how
# many follow as id, time, body; then the ids to forget. A message may be in another chat by now, that was renamed.
_WRITE: Final = (
    _STATE
    + """
local function forget(id)
  if redis.call('GET', ARGV[7] .. id) == ARGV[1] then redis.call('DEL', ARGV[7] .. id) end
end
local at = 9
for number = 1, tonumber(ARGV[8]) do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  redis.call('ZADD', KEYS[2], ARGV[at + 1], ARGV[at])
  redis.call('SET', KEYS[6 + number], ARGV[1], 'EX', ARGV[3])
  at = at + 3
end
local gone = 0
for place = at, #ARGV do
  gone = gone + redis.call('HDEL', KEYS[1], ARGV[place])
  redis.call('ZREM', KEYS[2], ARGV[place])
  forget(ARGV[place])
end
local surplus = math.min(redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6]), 4000)
if surplus > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, surplus - 1)
  redis.call('HDEL', KEYS[1], unpack(oldest))
  redis.call('ZREM', KEYS[2], unpack(oldest))
  for _, id in ipairs(oldest) do forget(id) end
end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
else redis.call('ZREM', KEYS[3], ARGV[1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('RPUSH', KEYS[5], ARGV[5])
redis.call('ZADD', KEYS[6], 'NX', ARGV[2], ARGV[4])
return {'ok', gone}
"""
)
# ARGV: the chat, first place, last place, whether the newest come first.
_READ: Final = (
    _STATE
    + """
local ids = redis.call(ARGV[4] == '1' and 'ZREVRANGE' or 'ZRANGE', KEYS[2], ARGV[2], ARGV[3])
if #ids == 0 then return {'ok'} end
return {'ok', unpack(redis.call('HMGET', KEYS[1], unpack(ids)))}
"""
)
# ARGV: the chat, seconds to keep, then id, time, body of each message. Somebody may have been faster, or have forgotten
# the chat since its segments were read: it is listed no more then, and must not come back.
_WARM: Final = """
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return end
if redis.call('EXISTS', KEYS[1]) == 1 then return end
if #ARGV == 2 then redis.call('ZREM', KEYS[3], ARGV[1]) return end
for at = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  redis.call('ZADD', KEYS[2], ARGV[at + 1], ARGV[at])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
"""


class RedisChats:
    """See `flowray.stores.chats.Chats`. What nobody reads or writes for `keep_s` is in the record only."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        segments: ChatSegments,
        *,
        prefix: str = "flowray:",
        keep_s: int = _WEEK_S,
        limit: int = CHAT_LIMIT,
    ) -> None:
        self._redis = client
        self._segments = segments
        self._keys = Keys(prefix)
        self._keep_s = keep_s
        self._limit = limit
        self._write = client.register_script(_WRITE)
        self._read = client.register_script(_READ)
        self._warm = client.register_script(_WARM)

    async def add(self, tenant: str, messages: Sequence[ChatMessage]) -> None:
        """See `Chats`."""
        by_chat: defaultdict[Chat, dict[str, ChatMessage]] = defaultdict(dict)
        for message in messages:
            by_chat[message.flow, message.session][message.id] = message
        for chat, added in by_chat.items():
            await self._change(tenant, chat, put=list(added.values()))

    async def find(self, tenant: str, wanted: Wanted) -> tuple[ChatMessage, ...]:
        """See `Chats`."""
        if wanted.flow is not None and wanted.session is not None:
            return await self._find_in(tenant, (wanted.flow, wanted.session), wanted)
        spoken = await self._spoken(tenant)
        chats = [chat for chat in spoken if wanted.flow in (None, chat[0]) and wanted.session in (None, chat[1])]
        found = [await self._find_in(tenant, chat, wanted) for chat in chats[:_CHATS_LOOKED_INTO]]
        return select((message for some in found for message in some), wanted)

    async def read(self, tenant: str, message: str) -> ChatMessage | None:
        """See `Chats`."""
        async with answered():
            found = await self._redis.get(self._keys.message(tenant, message))
        chats = [_chat_of(found)] if found is not None else list(await self._spoken(tenant))[:_CHATS_LOOKED_INTO]
        for chat in chats:
            kept = [one for one in await self._all_of(tenant, chat) if one.id == message]
            if kept:
                return kept[0]
        return None

    async def remove(self, tenant: str, messages: Collection[str]) -> int:
        """See `Chats`."""
        found = [await self.read(tenant, message) for message in set(messages)]
        return await self._forget(tenant, [message for message in found if message is not None])

    async def remove_session(self, tenant: str, session: str, *, flow: str | None = None) -> int:
        """See `Chats`."""
        return await self._forget(tenant, await self.find(tenant, Wanted(flow=flow, session=session, errors=True)))

    async def rename_session(self, tenant: str, old: str, new: str, *, flow: str | None = None) -> int:
        """See `Chats`."""
        found = await self.find(tenant, Wanted(flow=flow, session=old, errors=True))
        if old != new:
            await self.add(tenant, [renamed(message, new) for message in found])
            await self._forget(tenant, found)
        return len(found)

    async def sessions(self, tenant: str, *, flow: str | None = None) -> tuple[str, ...]:
        """See `Chats`."""
        spoken = await self._spoken(tenant)
        return newest_sessions({chat: at for chat, at in spoken.items() if flow in (None, chat[0])})

    async def remove_silent(self, tenant: str, *, before: float) -> int:
        """See `Chats`."""
        silent = [chat for chat, at in (await self._spoken(tenant)).items() if at < before]
        return sum([await self._forget(tenant, await self._all_of(tenant, chat)) for chat in silent])

    async def _forget(self, tenant: str, messages: Sequence[ChatMessage]) -> int:
        by_chat: defaultdict[Chat, list[str]] = defaultdict(list)
        for message in messages:
            by_chat[message.flow, message.session].append(message.id)
        return sum([await self._change(tenant, chat, gone=gone) for chat, gone in by_chat.items()])

    async def _change(
        self, tenant: str, chat: Chat, *, put: Sequence[ChatMessage] = (), gone: Sequence[str] = ()
    ) -> int:
        now = time.time()
        change: Change = {"put": [dict(one.body) for one in put]} if put else {"gone": list(gone)}
        bodies = [fact for one in put for fact in (one.id, one.at, dumps(one.body))]
        facts = [now, self._keep_s, waiting_name(tenant, chat), dumps(change), self._limit]
        facts += [self._keys.messages(tenant), len(put)]
        whose = [self._keys.message(tenant, one.id) for one in put]
        _, removed = await self._do(self._write, tenant, chat, [*facts, *bodies, *gone], whose)
        return int(removed)

    async def _find_in(self, tenant: str, chat: Chat, wanted: Wanted) -> tuple[ChatMessage, ...]:
        if wanted.limit is None or wanted.order_by != "timestamp":
            return select(await self._all_of(tenant, chat), wanted)
        found: list[ChatMessage] = []
        start = 0
        while len(found) < wanted.limit:
            page = await self._page(tenant, chat, start, start + _PAGE - 1, newest_first=wanted.newest_first)
            found += [message for message in page if wanted.fits(message)]
            start += _PAGE
            if len(page) < _PAGE:
                break
        return tuple(found[: wanted.limit])

    async def _all_of(self, tenant: str, chat: Chat) -> list[ChatMessage]:
        found: list[ChatMessage] = []
        while True:
            page = await self._page(tenant, chat, len(found), len(found) + _LARGEST_PAGE - 1, newest_first=False)
            found += page
            if len(page) < _LARGEST_PAGE:
                return found

    async def _page(self, tenant: str, chat: Chat, first: int, last: int, *, newest_first: bool) -> list[ChatMessage]:
        _, *bodies = await self._do(self._read, tenant, chat, [first, last, int(newest_first)])
        return [message_of(loads(body)) for body in bodies if body is not None]

    async def _do(
        self, script: Any, tenant: str, chat: Chat, arguments: Sequence[Any], more_names: Sequence[str] = ()
    ) -> list[Any]:
        """Run a script on a chat that is warm."""
        for _ in range(_TRIES):
            async with answered():
                said: list[Any] = await script([*self._names(tenant, chat), *more_names], [member_of(chat), *arguments])
            if said[0] == b"unknown":
                await self._list_anew(tenant)
            elif said[0] == b"cold":
                await self._load(tenant, chat)
            else:
                return said
        raise StoreUnavailableError("Redis forgets a chat as soon as it is loaded; it may be short of memory.")

    async def _load(self, tenant: str, chat: Chat) -> None:
        async with answered():
            waiting = await self._redis.lrange(self._keys.waiting(tenant, digest_of(chat)), 0, -1)
        since = [loads(change) for change in cast("list[bytes]", waiting)]
        kept = list((await self._segments.load(tenant, chat, since=since)).values())
        newest = sorted(kept, key=lambda one: one.at)[-self._limit :]
        bodies = [fact for one in newest for fact in (one.id, one.at, dumps(one.body))]
        async with answered():
            await self._warm(self._names(tenant, chat), [member_of(chat), self._keep_s, *bodies])

    async def _list_anew(self, tenant: str) -> None:
        found = {member_of(chat): at async for chat, at in self._segments.chats(tenant)}
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            if found:
                pipe.zadd(self._keys.chats(tenant), found)
            pipe.set(self._keys.chats_known(tenant), 1)
            await pipe.execute()

    async def _spoken(self, tenant: str) -> dict[Chat, float]:
        """When each chat was spoken in last, the newest first."""
        async with answered():
            known = await self._redis.exists(self._keys.chats_known(tenant))
        if not known:
            await self._list_anew(tenant)
        async with answered():
            found = await self._redis.zrevrange(self._keys.chats(tenant), 0, -1, withscores=True)
        return {_chat_of(member): at for member, at in cast("list[tuple[bytes, float]]", found)}

    def _names(self, tenant: str, chat: Chat) -> list[str]:
        keys, digest = self._keys, digest_of(chat)
        return [
            keys.chat(tenant, digest),
            keys.chat_order(tenant, digest),
            keys.chats(tenant),
            keys.chats_known(tenant),
            keys.waiting(tenant, digest),
            keys.unsaved,
        ]


def member_of(chat: Chat) -> bytes:
    """A chat as Redis lists it: its flow's id, and its session, which may be any text."""
    return dumps(list(chat))


def digest_of(chat: Chat) -> str:
    """A chat as part of a key."""
    return hashlib.sha256(member_of(chat)).hexdigest()[:32]


def waiting_name(tenant: str, chat: Chat) -> bytes:
    """A chat among all tenants' that wait to be saved."""
    return dumps([tenant, *chat])


def _chat_of(member: bytes | str) -> Chat:
    flow, session = loads(cast("bytes", member))
    return flow, session
