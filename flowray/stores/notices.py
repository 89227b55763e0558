"""What a tenant is told beside the ends of its runs: kept for a while, so that it can be told again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path

FOLDER = "notices"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Where it goes, and what it says. The same `name` is the same notice, however often it is kept or told."""

    name: str
    url: str
    said: dict[str, Any]


class NoticeRecords:
    """The notices of all tenants, one object each."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def keep(self, tenant: str, notice: Notice) -> None:
        """Keep one; the same again does no harm."""
        await self._objects.put(path(tenant, FOLDER, notice.name), dumps(asdict(notice)))

    async def find(self, tenant: str, name: str) -> Notice | None:
        """The one with this name."""
        if not is_segment(name):
            return None
        try:
            return Notice(**loads(await self._objects.get(path(tenant, FOLDER, name))))
        except NotFoundError:
            return None
