"""The door to Redis: how clients are made, and how its errors are said."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import cast

import redis.asyncio
import redis.exceptions

from flowray.errors import SettingsError, StoreUnavailableError
from flowray.stores.shared_line import SharedRedis

# How long a follower waits before it looks whether the journal is still there.
BLOCK_S = 5.0
_ANSWER_S = 10.0
# The head of a script: `now`, in seconds, is its first argument, or the server's own time when that is empty.
NOW = """
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end
"""


def connect(url: str) -> redis.asyncio.Redis:
    """A client for the Redis or Valkey at `url`; it connects when it is used.

    Use it within `answered` only: the client itself waits for ever. With a socket timeout redis-py sends through
    `asyncio.wait_for`, which until Python 3.12 now and then swallows a cancellation, and then a cancelled task goes on.
    """
    try:
        return SharedRedis.from_url(
            url,
            protocol=2,  # answers have other shapes in version 3
            socket_timeout=None,
            socket_connect_timeout=_ANSWER_S,
        )
    except ValueError as cause:
        raise SettingsError(f"This is no Redis URL: {cause}") from cause


def answered(*, within_s: float = _ANSWER_S) -> _Answered:
    """Bound the wait for Redis, and say what goes wrong with it as our own error: an asynchronous context."""
    return _Answered(within_s)


class _Answered:
    """Written out: as a generator it would take longer than what it bounds takes of this process."""

    __slots__ = ("_limit", "_within_s")

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._limit = asyncio.timeout(within_s)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, cause: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, cause, traceback)
        except TimeoutError as late:
            raise StoreUnavailableError(f"Redis did not answer within {self._within_s:g} s.") from late
        if isinstance(cause, TimeoutError):
            raise StoreUnavailableError(f"Redis did not answer within {self._within_s:g} s.") from cause
        if isinstance(cause, redis.exceptions.RedisError | OSError):
            raise StoreUnavailableError(f"Redis did not answer: {cause or type(cause).__name__}") from cause


async def batches(
    client: redis.asyncio.Redis, stream: str, *, after: int = 0, count: int | None = None, wait_s: float = 0.0
) -> list[bytes]:
    """What the `events` fields of a stream's entries hold, from those whose id is higher than `after`."""
    async with answered(within_s=wait_s + _ANSWER_S):
        found = await client.xread({stream: f"{after}-0"}, count=count, block=int(wait_s * 1000) or None)
    # redis-py's type covers all shapes of all protocols.
    entries = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", found)
    return [fields[b"events"] for _, fields in entries[0][1]] if entries else []
