"""What operators are told of imports that came late."""

from __future__ import annotations

import json
from typing import Any

from flowray.stores.import_counts import Counts, MemoryImportCounts
from flowray_serve.preloading import PoolImage, Preloading, worth_preloading

POOL = PoolImage(
    pool="default", image="default", digest="d", preload=("numpy",), settings={"spares": 4, "preload": ["numpy"]}
)


async def told_after(counts: Counts, *, forget: bool = False) -> dict[str, Any]:
    store = MemoryImportCounts()
    await store.add("d", counts)
    preloading = Preloading([POOL], store)
    if forget:
        await preloading.forget()
    return await preloading.told()


async def test_modules_are_told_with_their_counts_the_most_imported_first() -> None:
    (pool,) = (await told_after(Counts(steps=10, modules={"a": 1, "c": 3, "b": 3})))["pools"]

    assert (pool["pool"], pool["image"], pool["steps"]) == ("default", "default", 10)
    assert list(pool["modules"].items()) == [("b", 3), ("c", 3), ("a", 1)]


async def test_the_setting_to_paste_keeps_all_that_is_set_already() -> None:
    told = await told_after(Counts(steps=10, modules={"pandas": 9, "pandas.core": 9}))

    name, _, value = told["setting"].partition("=")
    assert name == "FLOWRAY_POOLS"
    assert json.loads(value) == {"default": {"spares": 4, "preload": ["numpy", "pandas.core"]}}


async def test_what_was_forgotten_is_counted_anew() -> None:
    (pool,) = (await told_after(Counts(steps=10, modules={"a": 10}), forget=True))["pools"]

    assert (pool["steps"], pool["modules"]) == (0, {})


def test_what_one_step_in_a_hundred_needs_is_not_worth_it() -> None:
    counts = Counts(steps=1000, modules={"rare": 10, "common": 900, "twice": 2})

    assert worth_preloading(counts, ()) == ["common"]
