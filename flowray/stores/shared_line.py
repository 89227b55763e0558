"""A Redis client whose quick commands share one connection: what is asked in one moment goes out in one piece.

redis-py takes a connection from its pool for each command, and a fifth of a millisecond of processor time with it; a
run asks some ten things. Here a command is a few bytes in a buffer, and its answer the next one that comes in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final, cast

import hiredis
import redis.asyncio
import redis.exceptions
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection, ConnectionPool

# Commands that Redis answers at once. What may wait for something (BLPOP, XREAD), and what belongs to a connection of
# its own (MULTI, SUBSCRIBE), has one of the pool's.
_SHARED: Final = frozenset({"EVALSHA", "GET", "SET", "EXISTS", "HMGET", "HGET", "LRANGE", "ZRANGE", "TIME"})
# Who gives up waiting takes the line down when nothing has come over it for so long: its other end may be gone.
_SILENT_S: Final = 3.0
_NOT_YET: Final = object()


class SharedRedis(redis.asyncio.Redis):
    """See the top of this file. What the shared connection fails at is asked again as redis-py always does it."""

    _line: _Line | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See `redis.asyncio.Redis`."""
        if args[0] not in _SHARED or options.keys() - {"keys"}:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self._line is None:
            self._line = _Line(self.connection_pool)
        try:
            said = await self._line.ask(args)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if args[0] == "EVALSHA":  # the most frequent, and what a script says is not to be read in any way
            return said
        read = self.response_callbacks.get(args[0])
        return said if read is None else read(said)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as it has it
        """See `redis.asyncio.Redis`."""
        if self._line is not None:
            await self._line.close()
        await super().aclose(close_connection_pool)


class _Line(asyncio.Protocol):
    """One connection, opened when it is used; answers come in the order of what was asked."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._one_opens = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.Transport | None = None
        self._before: asyncio.BaseProtocol | None = None
        self._reader = _new_reader()
        self._unsent: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._heard_at = 0.0

    async def ask(self, command: tuple[Any, ...]) -> Any:
        """The answer to a command; raises what Redis says against it, or a ConnectionError."""
        loop = asyncio.get_running_loop()
        packed = _packed(command)
        while self._transport is None:
            await self._open()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:
            self._heard_at = loop.time()
        self._waiting.append(answer)
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.append(packed)
        try:
            return await answer
        except asyncio.CancelledError:
            if self._transport is not None and loop.time() - self._heard_at > _SILENT_S:
                self._transport.abort()
            raise

    async def close(self) -> None:
        """Take it down."""
        async with self._one_opens:
            if self._connection is not None:
                await self._connection.disconnect()
                self._connection = None

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_at = asyncio.get_running_loop().time()
        self._reader.feed(data)
        while (said := self._reader.gets()) is not _NOT_YET:
            answer = self._waiting.popleft()
            if answer.done():  # who asked waits no more
                continue
            if isinstance(said, Exception):
                answer.set_exception(said)
            else:
                answer.set_result(said)

    def connection_lost(self, cause: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._unsent.clear()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(redis.exceptions.ConnectionError(f"The connection was lost: {cause or 'closed'}"))
        if self._before is not None:
            self._before.connection_lost(cause)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and unsent:
            self._transport.write(b"".join(unsent))

    async def _open(self) -> None:
        """Have redis-py connect and shake hands, then take its place at the transport."""
        async with self._one_opens:
            if self._transport is not None:
                return
            if self._connection is not None:
                with suppress(redis.exceptions.RedisError, OSError):
                    await self._connection.disconnect()
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            writer = cast("asyncio.StreamWriter", connection._writer)  # noqa: SLF001 - it offers no other way
            transport = cast("asyncio.Transport", writer.transport)
            if transport.is_closing():  # whose protocol has been told already, and will not be again
                await connection.disconnect(nowait=True)
                raise redis.exceptions.ConnectionError("The connection was lost while it was made.")
            self._connection, self._before, self._reader = connection, transport.get_protocol(), _new_reader()
            transport.set_protocol(self)
            self._transport = transport


def _new_reader() -> hiredis.Reader:
    return hiredis.Reader(
        protocolError=redis.exceptions.InvalidResponse,
        replyError=BaseParser.parse_error,
        notEnoughData=_NOT_YET,
    )


def _packed(command: tuple[Any, ...]) -> bytes:
    try:
        return bytes(hiredis.pack_command(command))
    except TypeError as cause:
        raise redis.exceptions.DataError(str(cause)) from cause
