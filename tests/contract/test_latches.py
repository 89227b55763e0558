"""Latches whose holders take too long, or have died."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from flowray.engine.values import Ref
from flowray.errors import ConflictError, OvertakenError
from flowray.stores.documents import Documents
from flowray.stores.generations import MemoryGenerations
from flowray.stores.latches import Latches
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from tests.contract.overtaken import Old
from tests.contract.test_documents import flow

ACME = "acme"
KEY = path(ACME, "latches", "one")


class Stalls(ObjectStore):
    """What `objects` has; `meanwhile` is done before something is put."""

    def __init__(self, objects: ObjectStore, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(objects._store, name=objects._name)
        self._meanwhile = meanwhile

    async def put(self, key: str, data: bytes) -> Ref:
        await self._meanwhile()
        return await super().put(key, data)


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


@pytest.mark.parametrize("before", [None, "r1"])
async def test_a_save_whose_latch_was_taken_over_does_not_undo_the_one_that_took_it(
    objects: ObjectStore, before: str | None
) -> None:
    generations = MemoryGenerations()
    there = Documents(Old(objects), generations)
    here = Documents(Stalls(objects, lambda: there.save(ACME, flow("one", revision="theirs"))), generations)
    if before is not None:
        await Documents(objects, generations).save(ACME, flow("one", revision=before))

    with pytest.raises(OvertakenError, match="at the same time"):
        await here.save(ACME, flow("one", revision="mine"))

    kept = await here.find(ACME, "one")
    assert kept is not None
    assert kept.revision == "theirs"


async def test_a_save_whose_latch_was_taken_over_does_not_bring_back_what_was_deleted(objects: ObjectStore) -> None:
    generations = MemoryGenerations()
    there = Documents(Old(objects), generations)
    here = Documents(Stalls(objects, lambda: there.delete(ACME, "one")), generations)
    await Documents(objects, generations).save(ACME, flow("one"))

    with pytest.raises(OvertakenError, match="at the same time"):
        await here.save(ACME, flow("one", revision="mine"))

    assert await here.find(ACME, "one") is None
