from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest
import redis.asyncio
from obstore.store import MemoryStore

from flowray.engine.codec import dumps
from flowray.engine.values import Ref
from flowray.stores.chat_archiver import ChatArchiver
from flowray.stores.chat_segments import Change, Chat, ChatSegments
from flowray.stores.chats import ChatMessage, Chats, MemoryChats, Wanted
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.redis_chats import RedisChats

ACME, OTHER = "acme", "other"
FLOW, SECOND = "f1", "f2"


@pytest.fixture(params=["memory", "redis"])
async def chats(request: pytest.FixtureRequest) -> AsyncIterator[Chats]:
    if request.param == "memory":
        yield MemoryChats(limit=5)
        return
    valkey = request.getfixturevalue("valkey_url")
    async with redis.asyncio.from_url(valkey, protocol=2) as client:
        await client.flushdb()
        yield RedisChats(client, ChatSegments(open_objects("memory:")), limit=5)


def said(text: str, *, session: str = "s", flow: str = FLOW, at: float = 0.0, **facts: object) -> ChatMessage:
    minute, second = divmod(at, 60)
    fields = {"sender": "User", "sender_name": "Me", "context_id": "", "error": False, **facts}
    name = str(fields.pop("id", uuid.uuid4()))
    stamp = f"2026-01-01 00:{int(minute):02d}:{second:09.6f} UTC"
    body = {"id": name, "flow_id": flow, "session_id": session, "timestamp": stamp, "text": text, **fields}
    return ChatMessage(id=name, flow=flow, session=session, at=1_767_225_600 + at, body=body)


def texts(found: tuple[ChatMessage, ...]) -> list[str]:
    return [str(message.body["text"]) for message in found]


async def test_what_was_said_in_a_session_is_found_in_the_order_it_was_said(chats: Chats) -> None:
    await chats.add(ACME, [said("b", at=2), said("a", at=1)])
    await chats.add(ACME, [said("c", at=3), said("elsewhere", session="t", at=1)])

    wanted = Wanted(flow=FLOW, session="s")
    assert texts(await chats.find(ACME, wanted)) == ["a", "b", "c"]
    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session="s", newest_first=True, limit=2))) == ["c", "b"]


async def test_a_message_comes_back_as_it_was(chats: Chats) -> None:
    message = said("hällo\n{}", properties={"state": "complete", "n": [1, None]}, files=["f1/a.txt"])
    await chats.add(ACME, [message])

    assert await chats.find(ACME, Wanted(flow=FLOW, session="s")) == (message,)
    assert await chats.read(ACME, message.id) == message


async def test_no_tenant_sees_what_another_has_said(chats: Chats) -> None:
    message = said("secret")
    await chats.add(ACME, [message])

    assert await chats.find(OTHER, Wanted(flow=FLOW, session="s")) == ()
    assert await chats.read(OTHER, message.id) is None
    assert await chats.remove(OTHER, [message.id]) == 0
    assert await chats.sessions(OTHER) == ()
    assert await chats.read(ACME, message.id) == message


async def test_sessions_of_the_same_name_in_two_flows_are_two_chats(chats: Chats) -> None:
    await chats.add(ACME, [said("one"), said("two", flow=SECOND)])

    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == ["one"]
    assert sorted(texts(await chats.find(ACME, Wanted(session="s")))) == ["one", "two"]
    assert texts(await chats.find(ACME, Wanted(flow=SECOND))) == ["two"]


async def test_what_is_wanted_is_narrowed_by_who_said_it_and_where(chats: Chats) -> None:
    await chats.add(ACME, [said("q", at=1), said("a", at=2, sender="Machine", sender_name="AI", context_id="c")])
    await chats.add(ACME, [said("broken", at=3, error=True)])

    def found(**wanted: object) -> Wanted:
        return Wanted(flow=FLOW, session="s", **wanted)  # type: ignore[arg-type]  # by name

    assert texts(await chats.find(ACME, found(sender="Machine"))) == ["a"]
    assert texts(await chats.find(ACME, found(sender_name="Me", limit=5))) == ["q"]
    assert texts(await chats.find(ACME, found(context="c"))) == ["a"]
    assert texts(await chats.find(ACME, found())) == ["q", "a"]
    assert texts(await chats.find(ACME, found(errors=True))) == ["q", "a", "broken"]
    assert texts(await chats.find(ACME, found(order_by="text"))) == ["a", "q"]


async def test_a_message_that_is_kept_again_is_changed(chats: Chats) -> None:
    first = said("partial", at=1, id="0e5dd8f4-0000-4000-8000-000000000000")
    await chats.add(ACME, [first, said("later", at=2)])
    await chats.add(ACME, [said("complete", at=1, id=first.id)])

    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == ["complete", "later"]


async def test_messages_and_sessions_are_forgotten(chats: Chats) -> None:
    gone, kept = said("a", at=1), said("b", at=2)
    await chats.add(ACME, [gone, kept, said("c", session="t"), said("d", session="t", flow=SECOND)])

    assert await chats.remove(ACME, [gone.id, gone.id, str(uuid.uuid4())]) == 1
    assert await chats.remove_session(ACME, "t", flow=SECOND) == 1
    assert await chats.remove_session(ACME, "nobody") == 0

    assert sorted(texts(await chats.find(ACME, Wanted()))) == ["b", "c"]
    assert await chats.sessions(ACME, flow=SECOND) == ()


async def test_a_session_gets_another_name(chats: Chats) -> None:
    message = said("a")
    await chats.add(ACME, [message])

    assert await chats.rename_session(ACME, "s", "t") == 1
    assert await chats.rename_session(ACME, "s", "t") == 0

    (found,) = await chats.find(ACME, Wanted(session="t"))
    assert (found.id, found.session, found.body["session_id"]) == (message.id, "t", "t")
    assert await chats.sessions(ACME) == ("t",)
    assert await chats.read(ACME, message.id) == found


async def test_sessions_are_listed_the_latest_first(chats: Chats) -> None:
    for session in ("a", "b", "a", "ü / \\ .. 🙂" * 20):
        await chats.add(ACME, [said("x", session=session)])
        await asyncio.sleep(0)

    assert await chats.sessions(ACME) == ("ü / \\ .. 🙂" * 20, "a", "b")


async def test_chats_in_which_nobody_has_spoken_for_long_are_forgotten(chats: Chats) -> None:
    await chats.add(ACME, [said("long ago"), said("then", session="t"), said("there", flow=SECOND)])
    await chats.add(OTHER, [said("another's")])
    border = time.time()
    await asyncio.sleep(0.01)
    await chats.add(ACME, [said("again", session="t", at=1)])

    assert await chats.remove_silent(ACME, before=border) == 2
    assert texts(await chats.find(ACME, Wanted())) == ["then", "again"]
    assert await chats.sessions(ACME) == ("t",)
    assert texts(await chats.find(OTHER, Wanted())) == ["another's"]
    assert await chats.remove_silent(ACME, before=border) == 0


async def test_a_chat_keeps_its_newest_messages(chats: Chats) -> None:
    for at in range(8):
        await chats.add(ACME, [said(str(at), at=at)])

    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == ["3", "4", "5", "6", "7"]


async def test_of_a_message_that_is_forgotten_nothing_is_left(valkey: redis.asyncio.Redis) -> None:
    chats = RedisChats(valkey, ChatSegments(open_objects("memory:")), limit=2)
    await chats.add(ACME, [said(str(at), at=at, id=f"m{at}") for at in range(4)])
    await chats.rename_session(ACME, "s", "t")
    await chats.remove(ACME, ["m2"])

    assert await valkey.keys("*:message:*") == [b"flowray:acme:message:m3"]
    found = await chats.read(ACME, "m3")
    assert found is not None
    assert found.session == "t"


LONG = "a very long name, " * 30


@pytest.mark.parametrize("session", ["s", "ü /.. 🙂", LONG])
async def test_chats_survive_a_redis_that_has_lost_everything(
    valkey: redis.asyncio.Redis, objects: ObjectStore, session: str
) -> None:
    await objects.put("first", b"a bucket comes to be with its first object")
    chats = RedisChats(valkey, ChatSegments(objects))
    archiver = ChatArchiver(valkey, ChatSegments(objects))
    kept, gone = said("kept", session=session, at=1), said("gone", session=session, at=2)
    await chats.add(ACME, [kept, gone])
    await archiver.save()
    await chats.remove(ACME, [gone.id])
    await archiver.save()

    await valkey.flushdb()

    assert await chats.sessions(ACME) == (session,)
    assert await chats.find(ACME, Wanted(flow=FLOW, session=session)) == (kept,)
    assert await chats.read(ACME, kept.id) == kept
    await chats.add(ACME, [said("new", session=session, at=3)])
    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session=session))) == ["kept", "new"]


async def test_a_chat_that_redis_let_go_is_read_with_what_is_not_saved_yet(valkey: redis.asyncio.Redis) -> None:
    segments = ChatSegments(open_objects("memory:"))
    chats = RedisChats(valkey, segments)
    await chats.add(ACME, [said("saved", at=1)])
    await ChatArchiver(valkey, segments).save()
    await chats.add(ACME, [said("waiting", at=2)])
    for key in await valkey.keys("*:chat:*"):
        await valkey.delete(key)

    assert texts(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == ["saved", "waiting"]


class InterruptedSegments(ChatSegments):
    """Segments that somebody else gets in between with, once they are read."""

    def __init__(self, objects: ObjectStore, between: Callable[[], Awaitable[object]]) -> None:
        super().__init__(objects)
        self._between = between

    async def load(self, tenant: str, chat: Chat, *, since: Sequence[Change] = ()) -> Mapping[str, ChatMessage]:
        found = await super().load(tenant, chat, since=since)
        await self._between()
        return found


async def test_what_is_forgotten_while_it_is_being_read_from_the_object_store_stays_forgotten(
    valkey: redis.asyncio.Redis,
) -> None:
    objects, wanted = open_objects("memory:"), Wanted(flow=FLOW, session="s")
    segments = ChatSegments(objects)
    await segments.append(ACME, (FLOW, "s"), [{"put": [said("secret").body]}])
    other = RedisChats(valkey, segments)
    reader = RedisChats(valkey, InterruptedSegments(objects, lambda: other.remove_session(ACME, "s")))

    assert await reader.find(ACME, wanted) == ()

    assert await other.find(ACME, wanted) == ()
    assert await other.sessions(ACME) == ()


async def test_what_is_forgotten_leaves_the_object_store_too(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    chats, archiver = RedisChats(valkey, ChatSegments(objects)), ChatArchiver(valkey, ChatSegments(objects))
    await chats.add(ACME, [said("a"), said("b")])
    await archiver.save()
    await chats.remove_session(ACME, "s")
    await archiver.save()

    assert [one.key async for one in objects.list("")] == []


async def test_silent_chats_leave_the_object_store_even_when_redis_knows_none(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    chats, archiver = RedisChats(valkey, ChatSegments(objects)), ChatArchiver(valkey, ChatSegments(objects))
    await chats.add(ACME, [said("a"), said("b", session="t")])
    await archiver.save()
    await valkey.flushdb()

    assert await chats.remove_silent(ACME, before=time.time() - 60.0) == 0
    assert await chats.remove_silent(ACME, before=time.time() + 60.0) == 2
    await archiver.save()
    assert [one.key async for one in objects.list("")] == []


async def test_what_is_forgotten_before_it_is_saved_never_is(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    chats, archiver = RedisChats(valkey, ChatSegments(objects)), ChatArchiver(valkey, ChatSegments(objects))
    await chats.add(ACME, [said("a")])
    await chats.remove_session(ACME, "s")
    await archiver.save()

    assert [one.key async for one in objects.list("")] == []


async def test_a_long_chat_is_a_short_row_of_segments(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    chats, archiver = RedisChats(valkey, ChatSegments(objects)), ChatArchiver(valkey, ChatSegments(objects))
    for at in range(70):
        await chats.add(ACME, [said(str(at), at=at % 50)])
        await archiver.save()

    assert len([one async for one in objects.list("")]) <= 32
    await valkey.flushdb()
    assert len(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == 70


async def test_the_record_of_a_chat_keeps_its_newest_messages_and_what_was_changed() -> None:
    objects, chat = open_objects("memory:"), (FLOW, "s")
    segments = ChatSegments(objects, limit=50)
    for at in range(1_000):
        await segments.append(ACME, chat, [{"put": [said(str(at), at=at, id=f"m{at}").body]}])
    await segments.append(ACME, chat, [{"put": [said("changed", at=999, id="m999").body]}])

    kept = list((await segments.load(ACME, chat)).values())
    assert texts(tuple(kept))[-50:] == [*(str(at) for at in range(950, 999)), "changed"]
    assert len(kept) < 200
    assert len([one async for one in objects.list("")]) <= 32


class WeighedStore(ObjectStore):
    """Knows how many bytes it was given."""

    given = 0

    async def put(self, key: str, data: bytes) -> Ref:
        self.given += len(data)
        return await super().put(key, data)


async def test_keeping_what_is_said_costs_the_same_however_much_was_said_before() -> None:
    objects, chat = WeighedStore(MemoryStore(), name="in memory"), (FLOW, "s")
    segments = ChatSegments(objects)
    given = [0]
    for at in range(2_000):
        await segments.append(ACME, chat, [{"put": [said(str(at), at=at).body]}])
        if at % 500 == 499:
            given.append(objects.given)

    assert len(await segments.load(ACME, chat)) == 2_000
    assert given[4] - given[3] < 2 * given[1]


async def test_two_archivers_save_a_chat_once_at_a_time(valkey: redis.asyncio.Redis) -> None:
    segments = ChatSegments(open_objects("memory:"))
    chats = RedisChats(valkey, segments)
    await chats.add(ACME, [said("a")])
    first, second = ChatArchiver(valkey, segments), ChatArchiver(valkey, segments)

    assert sorted(await asyncio.gather(first.save(), second.save())) == [0, 1]
    assert await first.save() == 0


async def test_a_chat_that_is_being_saved_is_nobody_elses_however_long_those_before_it_took(
    valkey: redis.asyncio.Redis,
) -> None:
    now, others = [0.0], list[int]()
    segments = ChatSegments(open_objects("memory:"))

    class SlowSegments(ChatSegments):
        async def append(self, tenant: str, chat: Chat, changes: Sequence[Change]) -> None:
            now[0] += 40.0
            if now[0] > 60.0:
                others.append(await ChatArchiver(valkey, segments, clock=lambda: now[0]).save())
            await super().append(tenant, chat, changes)

    chats = RedisChats(valkey, segments)
    await chats.add(ACME, [said("a"), said("b", session="t")])
    for session in ("s", "t"):
        await valkey.zadd("flowray:unsaved", {dumps([ACME, FLOW, session]): 0.0})

    first = ChatArchiver(valkey, SlowSegments(open_objects("memory:")), clock=lambda: now[0])
    assert await first.save(limit=2) == 2
    assert others == [0]


async def test_a_chat_that_cannot_be_saved_keeps_no_other_from_it(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    chats, archiver = RedisChats(valkey, ChatSegments(objects)), ChatArchiver(valkey, ChatSegments(objects))
    broken = said("broken")
    await chats.add(ACME, [broken])
    await archiver.save()
    async for one in objects.list(""):
        await objects.put(one.key, b"no gzip")
    await chats.remove(ACME, [broken.id])
    await chats.add(OTHER, [said("whole")])

    await archiver.save()

    await valkey.flushdb()
    assert texts(await chats.find(OTHER, Wanted(flow=FLOW, session="s"))) == ["whole"]


async def test_the_last_messages_of_a_long_chat_are_found(valkey: redis.asyncio.Redis) -> None:
    chats = RedisChats(valkey, ChatSegments(open_objects("memory:")))
    await chats.add(ACME, [said(str(at), at=at / 100) for at in range(2_500)])

    found = await chats.find(ACME, Wanted(flow=FLOW, session="s", newest_first=True, limit=3))

    assert texts(found) == ["2499", "2498", "2497"]
    assert len(await chats.find(ACME, Wanted(flow=FLOW, session="s"))) == 2_500
