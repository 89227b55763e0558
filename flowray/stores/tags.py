"""Names for versions of flows, such as `prod`: each an object of its own, so that two that change at once both hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from flowray.engine.codec import dumps, loads
from flowray.engine.drawing import is_drawn
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path, spelled, unspelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """A version that a share of a tag's runs goes to (0 to 1), to see how it does."""

    version: str
    share: float

    def takes(self, whom: str) -> bool:
        """Whether it takes the runs of this one; the same one is always told the same, and more of them as it grows."""
        return is_drawn(self.share, self.version, whom)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """Where a tag stands."""

    version: str
    canary: Canary | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """Where its runs go."""
        return (self.version,) if self.canary is None else (self.version, self.canary.version)


class Tags:
    """The tags of all flows."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def all(self, tenant: str, flow_id: str) -> Mapping[str, Tag]:
        """The flow's tags, by name."""
        if not is_segment(flow_id):
            return {}
        found: dict[str, Tag] = {}
        keys = sorted([one.key async for one in self._objects.list(path(tenant, "tags", flow_id))])
        for key, kept in (await self._objects.get_all(keys)).items():
            name = unspelled(key.rpartition("/")[2].removesuffix(".json"))
            if name is not None:
                found[name] = _tag(loads(kept))
        return found

    async def put(self, tenant: str, flow_id: str, name: str, tag: Tag) -> None:
        """Have the tag stand there."""
        await self._objects.put(_key(tenant, flow_id, name), dumps(asdict(tag)))

    async def remove(self, tenant: str, flow_id: str, name: str) -> None:
        """Take the tag away; it may be gone already."""
        await self._objects.delete(_key(tenant, flow_id, name))

    async def forget_all(self, tenant: str, flow_id: str) -> None:
        """Forget a flow's tags with the flow."""
        await self._objects.clear(path(tenant, "tags", flow_id))


def _tag(kept: Mapping[str, object]) -> Tag:
    canary = kept.get("canary")
    return Tag(version=str(kept["version"]), canary=Canary(**canary) if isinstance(canary, dict) else None)


def _key(tenant: str, flow_id: str, tag: str) -> str:
    # A dot in front of `.json` is plain here: `spelled` writes the tag's own dots as `.2e`.
    return path(tenant, "tags", flow_id, f"{spelled(tag)}.json")
