"""The one connection that quick commands share: everybody gets the own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions
from redis.asyncio.connection import AbstractConnection

from flowray.stores import shared_line
from flowray.stores.redis import connect


async def test_what_is_asked_at_once_is_answered_one_by_one(valkey: redis.asyncio.Redis) -> None:
    await asyncio.gather(*(valkey.set(f"key:{number}", number) for number in range(100)))

    found = await asyncio.gather(*(valkey.get(f"key:{number}") for number in range(100)))

    assert found == [str(number).encode() for number in range(100)]


async def test_many_askers_need_one_connection(valkey: redis.asyncio.Redis) -> None:
    before = (await valkey.info("stats"))["total_connections_received"]

    await asyncio.gather(*(valkey.get("key") for _ in range(100)))

    assert (await valkey.info("stats"))["total_connections_received"] - before <= 1


async def test_an_error_is_for_who_asked_for_it(valkey: redis.asyncio.Redis) -> None:
    await valkey.hset("hash", "field", "value")

    wrong, right = await asyncio.gather(valkey.get("hash"), valkey.hget("hash", "field"), return_exceptions=True)

    assert isinstance(wrong, redis.exceptions.ResponseError)
    assert right == b"value"


async def test_who_gives_up_leaves_the_answers_of_others_alone(valkey: redis.asyncio.Redis) -> None:
    await valkey.set("mine", "1")
    await valkey.set("theirs", "2")
    gives_up = asyncio.ensure_future(valkey.get("mine"))
    stays = asyncio.ensure_future(valkey.get("theirs"))
    await asyncio.sleep(0)

    gives_up.cancel()

    assert await stays == b"2"
    assert await valkey.get("mine") == b"1"
    assert gives_up.cancelled()


async def test_a_script_that_redis_does_not_have_is_given_to_it(valkey: redis.asyncio.Redis) -> None:
    script = valkey.register_script("return {KEYS[1], ARGV[1]}")
    await valkey.script_flush()

    assert await script(["key"], ["argument"]) == [b"key", b"argument"]


async def test_a_connection_that_is_lost_is_made_again(valkey: redis.asyncio.Redis, valkey_url: str) -> None:
    await valkey.set("key", "value")
    async with connect(valkey_url) as other:
        await other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]

    found = await asyncio.gather(*(valkey.get("key") for _ in range(10)))

    assert found == [b"value"] * 10


async def test_a_line_that_stays_silent_is_taken_down_by_who_gives_up(
    deaf: tuple[str, list[asyncio.StreamWriter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_line, "_SILENT_S", 0.0)
    url, connections = deaf
    async with connect(url) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.get("key")

        async with asyncio.timeout(10):
            await connections[0].wait_closed()


async def test_a_line_that_is_lost_while_it_is_made_is_made_again(
    valkey: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_whole = AbstractConnection.connect
    lost: list[AbstractConnection] = []

    async def connect_and_lose(self: Any) -> None:
        await connect_whole(self)  # type: ignore[no-untyped-call]
        if not lost:
            lost.append(self)
            self._writer.transport.abort()
            await asyncio.sleep(0.05)  # its protocol is told

    monkeypatch.setattr(AbstractConnection, "connect", connect_and_lose)

    async with asyncio.timeout(5):
        assert await valkey.get("key") is None
        assert await valkey.get("key") is None

    assert len(lost) == 1


@pytest.fixture
async def deaf() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A server that shakes hands and says nothing to what it is asked then."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while data := await reader.read(65536):
            if b"GET" not in data:
                writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", connections
    server.close()
