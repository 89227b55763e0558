"""What was given up, with the reason, until somebody drives it again or lets it go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path

_FOLDER = "dead"


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A background run that failed for good, or a callback or notice that nobody took (`what`).

    `run` is the run's id, or the notice's name. `kind` is the failure's, `reason` what went wrong; `at` is seconds
    since the epoch.
    """

    run: str
    what: str
    flow: str
    flow_name: str
    kind: str
    reason: str
    at: float
    node: str = ""

    @property
    def id(self) -> str:
        """Its name among the tenant's."""
        return f"{self.what}-{self.run}"


def _untold(_tenant: str, _letter: DeadLetter) -> None:
    """Tell nobody."""


class DeadLetters:
    """The dead letters of all tenants: one object each, so that nothing but the record has to survive.

    `added` is told of each that is kept.
    """

    def __init__(self, objects: ObjectStore, *, added: Callable[[str, DeadLetter], None] = _untold) -> None:
        self._objects = objects
        self._added = added

    async def add(self, tenant: str, letter: DeadLetter) -> None:
        """Keep one; the same again does no harm."""
        await self._objects.put(path(tenant, _FOLDER, letter.id), dumps(asdict(letter)))
        self._added(tenant, letter)

    async def find(self, tenant: str, name: str) -> DeadLetter | None:
        """The one with this id."""
        if not is_segment(name):
            return None
        try:
            return DeadLetter(**loads(await self._objects.get(path(tenant, _FOLDER, name))))
        except NotFoundError:
            return None

    async def list(self, tenant: str) -> Sequence[DeadLetter]:
        """All of a tenant's, the newest first."""
        names = [one.key.rpartition("/")[2] async for one in self._objects.list(path(tenant, _FOLDER))]
        found = [await self.find(tenant, name) for name in names]
        return sorted((one for one in found if one is not None), key=lambda one: one.at, reverse=True)

    async def remove(self, tenant: str, name: str) -> None:
        """Let it go; it may be gone already."""
        if is_segment(name):
            await self._objects.delete(path(tenant, _FOLDER, name))
