"""A record that is kept as JSON, replaced by what is made of it: no other change is lost, and nothing gone returns."""

from __future__ import annotations

from collections.abc import Callable

from flowray.engine.codec import dumps, loads
from flowray.flow.types import JsonObject
from flowray.stores.objects import ObjectStore


async def changed(objects: ObjectStore, key: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
    """What is kept from now on; None when nothing was. See `ObjectStore.change`."""
    kept = await objects.change(key, lambda old: dumps(dict(make(loads(old)))))
    if kept is None:
        return None
    record: JsonObject = loads(kept)
    return record
