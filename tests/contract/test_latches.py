"""Latches whose holders take too long, or have died."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from flowray.errors import ConflictError
from flowray.stores.latches import Latches
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

ACME = "acme"
KEY = path(ACME, "latches", "one")


class Old(ObjectStore):
    """What `objects` has, and the first object asked for is two minutes old; `meanwhile` is done before it says so."""

    def __init__(self, objects: ObjectStore, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        super().__init__(objects._store, name=objects._name)
        self._meanwhile = meanwhile
        self._is_old = True

    async def modified(self, key: str) -> datetime | None:
        if not self._is_old:
            return await super().modified(key)
        self._is_old = False
        if self._meanwhile is not None:
            await self._meanwhile()
        return datetime.now(UTC) - timedelta(minutes=2)


def one(objects: ObjectStore) -> AbstractAsyncContextManager[None]:
    """The latch of flow `one`, for whoever has no patience."""
    return Latches(objects, patience_s=0).held(ACME, "one")


async def test_an_abandoned_latch_is_taken_over(objects: ObjectStore) -> None:
    await objects.create(KEY, b"of one that died")
    async with one(Old(objects)):
        with pytest.raises(ConflictError):
            await one(objects).__aenter__()
    assert not await objects.exists(KEY)


async def test_of_two_that_find_an_abandoned_latch_one_takes_it(objects: ObjectStore) -> None:
    await objects.create(KEY, b"of one that died")
    async with AsyncExitStack() as held:
        overtaken = Old(objects, lambda: held.enter_async_context(one(Old(objects))))
        with pytest.raises(ConflictError):
            await held.enter_async_context(one(overtaken))


async def test_who_holds_a_latch_for_too_long_leaves_it_to_who_took_it_over(objects: ObjectStore) -> None:
    async with AsyncExitStack() as later:
        async with one(objects):
            await later.enter_async_context(one(Old(objects)))
        with pytest.raises(ConflictError):
            await one(objects).__aenter__()
    assert not await objects.exists(KEY)
