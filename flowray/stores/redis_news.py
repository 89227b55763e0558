"""News over a Redis stream: every replica follows it, so that a change is known everywhere in a millisecond or two.

Redis only carries them. While it is away nothing that is remembered counts, and the object store is asked each time.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import cast

import redis.asyncio

from flowray.errors import StoreUnavailableError
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

# An answer comes at least this often: with news, or with word that there are none.
_BLOCK_S = 0.3
_CURRENT_S = 0.9
_KEPT = 10_000
_PAUSE_S = 0.2

Listener = Callable[[str | None], None]


class RedisNews:
    """See `flowray.tenancy.news.News`. Nothing is heard, and so nothing remembered, unless `follow` runs."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        prefix: str = "flowray:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._stream = Keys(prefix).news
        self._clock = clock
        self._heard_at = float("-inf")
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)

    @property
    def is_current(self) -> bool:
        """Whether news of the last second would have been heard."""
        return self._clock() - self._heard_at < _CURRENT_S

    def listen(self, kind: str, listener: Listener) -> None:
        """Have `listener` called with the name of each changed record, or with None when any may have changed."""
        self._listeners[kind].append(listener)

    async def tell(self, kind: str, name: str) -> None:
        """Say that a record has changed."""
        self._pass_on(kind, name)
        async with answered():
            await self._redis.xadd(self._stream, {"kind": kind, "name": name}, maxlen=_KEPT, approximate=True)

    async def follow(self) -> None:
        """Hear what others tell, until cancelled."""
        while True:
            try:
                await self._follow_from(await self._newest())
            except StoreUnavailableError:
                await asyncio.sleep(_PAUSE_S)

    async def _newest(self) -> bytes:
        """Where the stream ends now; what was remembered before is not known to be true."""
        async with answered():
            found = cast("list[tuple[bytes, object]]", await self._redis.xrevrange(self._stream, count=1))
        for listeners in self._listeners.values():
            for listener in listeners:
                listener(None)
        self._heard_at = self._clock()
        return found[0][0] if found else b"0-0"

    async def _follow_from(self, last: bytes) -> None:
        while True:
            async with answered(within_s=_BLOCK_S + _CURRENT_S):
                found = await self._redis.xread({self._stream: last}, block=int(_BLOCK_S * 1000))
            was_away = not self.is_current
            entries = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", found)
            for news_id, fields in entries[0][1] if entries else []:
                last = news_id
                self._pass_on(fields[b"kind"].decode(), fields[b"name"].decode())
            if was_away:
                return  # the stream keeps only the latest: begin anew, with nothing remembered
            self._heard_at = self._clock()

    def _pass_on(self, kind: str, name: str) -> None:
        for listener in self._listeners[kind]:
            listener(name)
