"""Names for versions of flows, such as `prod`: each an object of its own, so that two that change at once both hold."""

from __future__ import annotations

from collections.abc import Mapping

from flowray.engine.codec import dumps, loads
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path, spelled, unspelled


class Tags:
    """The tags of all flows, and the version that each stands at."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def all(self, tenant: str, flow_id: str) -> Mapping[str, str]:
        """The flow's tags, by name."""
        if not is_segment(flow_id):
            return {}
        found: dict[str, str] = {}
        keys = sorted([one.key async for one in self._objects.list(path(tenant, "tags", flow_id))])
        for key, kept in (await self._objects.get_all(keys)).items():
            name = unspelled(key.rpartition("/")[2].removesuffix(".json"))
            if name is not None:
                found[name] = loads(kept)["version"]
        return found

    async def put(self, tenant: str, flow_id: str, tag: str, version: str) -> None:
        """Have the tag stand at this version."""
        await self._objects.put(_key(tenant, flow_id, tag), dumps({"version": version}))

    async def remove(self, tenant: str, flow_id: str, tag: str) -> None:
        """Take the tag away; it may be gone already."""
        await self._objects.delete(_key(tenant, flow_id, tag))

    async def forget_all(self, tenant: str, flow_id: str) -> None:
        """Forget a flow's tags with the flow."""
        await self._objects.clear(path(tenant, "tags", flow_id))


def _key(tenant: str, flow_id: str, tag: str) -> str:
    # A dot in front of `.json` is plain here: `spelled` writes the tag's own dots as `.2e`.
    return path(tenant, "tags", flow_id, f"{spelled(tag)}.json")
