"""What runs had to import is counted per image, wherever the counts are kept."""

from __future__ import annotations

import pytest

from flowray.stores.import_counts import Counts, ImportCounts, MemoryImportCounts, RedisImportCounts


@pytest.fixture(params=["memory", "redis"])
def counts(request: pytest.FixtureRequest) -> ImportCounts:
    if request.param == "memory":
        return MemoryImportCounts()
    return RedisImportCounts(request.getfixturevalue("valkey"))


async def test_nothing_was_counted_at_first(counts: ImportCounts) -> None:
    assert await counts.of("image") == Counts()


async def test_what_several_runners_count_adds_up(counts: ImportCounts) -> None:
    await counts.add("image", Counts(steps=2, modules={"pandas.core": 2, "jiter": 1}))
    await counts.add("image", Counts(steps=3, modules={"jiter": 3}))

    assert await counts.of("image") == Counts(steps=5, modules={"pandas.core": 2, "jiter": 4})


async def test_images_are_counted_apart(counts: ImportCounts) -> None:
    await counts.add("one", Counts(steps=1, modules={"jiter": 1}))

    assert await counts.of("other") == Counts()


async def test_what_is_forgotten_begins_anew(counts: ImportCounts) -> None:
    await counts.add("image", Counts(steps=1, modules={"jiter": 1}))

    await counts.forget("image")

    assert await counts.of("image") == Counts()
