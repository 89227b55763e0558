"""News as several replicas of a service hear them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import redis.asyncio

from flowray.stores.redis_news import RedisNews
from flowray.tenancy.news import News


@asynccontextmanager
async def followed(client: redis.asyncio.Redis) -> AsyncGenerator[RedisNews, None]:
    """News that get through."""
    news = RedisNews(client)
    with_it = Heard(news)
    following = asyncio.create_task(news.follow())
    await with_it.of(None)
    yield news
    following.cancel()
    await asyncio.wait([following])


class Heard:
    """What was told of one kind of record."""

    def __init__(self, news: News, kind: str = "tenant") -> None:
        self._names: asyncio.Queue[str | None] = asyncio.Queue()
        news.listen(kind, self._names.put_nowait)

    async def of(self, name: str | None) -> None:
        """Wait, for less than the second that a change may take, until it was told of this one."""
        async with asyncio.timeout(1):
            while await self._names.get() != name:
                pass
