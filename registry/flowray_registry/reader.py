"""How all others know components: from a cache, from the registry, and from the record while the registry is away."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from flowray.component.spec import ComponentSpec
from flowray.engine.failures import ComponentFailedError
from flowray.errors import FlowRayError
from flowray.flow.types import Json
from flowray_registry import NAME, NAMESPACE
from flowray_registry.catalog import Version
from flowray_registry.entry import Entry, broken, digest_of, extracted
from flowray_registry.snapshot import Snapshot

Extract = Callable[[str, str], Awaitable[Mapping[str, Json]]]
T = TypeVar("T")

_KEPT = 1_000
_READ_S, _WRITE_S = 2.0, 15.0


class RegistryUnavailableError(FlowRayError):
    """The registry did not answer."""

    code = "registry_unavailable"
    status = 503


class Writer(Protocol):
    """The registry as a reader calls it; `RegistryUnavailableError` when it does not answer."""

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """Return those of the versions that were ever seen."""

    async def add(self, entry: Entry) -> None:
        """Take a version into the catalog."""

    async def versions(self, name: str) -> Sequence[Version]:
        """Return the versions of a component type, the first seen first."""

    async def catalog(self) -> Sequence[Version]:
        """Return all versions ever seen."""


class Reader:
    """One process's view. `known` are the components lfx ships, `extract` loads a component's source in a sandbox."""

    def __init__(
        self, writer: Writer, snapshot: Snapshot, *, known: Mapping[str, ComponentSpec], extract: Extract
    ) -> None:
        self._writer = writer
        self._snapshot = snapshot
        self._known = known
        self._extract = extract
        self._cache: OrderedDict[str, ComponentSpec] = OrderedDict()
        self._registering: dict[str, asyncio.Task[ComponentSpec]] = {}

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """Return those of the versions that were ever seen."""
        found = {digest: spec for digest in digests if (spec := self._cached(digest))}
        missing = [digest for digest in digests if digest not in found]
        if not missing:
            return found
        try:
            read = await self._writer.specs(missing)
        except RegistryUnavailableError:
            read = {entry.spec.digest: entry.spec for entry in await self._snapshot.read_all(missing)}
        for spec in read.values():
            self._keep(spec)
        return {**found, **read}

    async def register(self, code: str, name: str) -> ComponentSpec:
        """Get to know a component; its source is loaded in a sandbox, once, however many ask for it.

        One that cannot be loaded is known as such (`problem`), and is tried again when it is registered again.
        """
        digest = digest_of(code)
        known = (await self.specs([digest])).get(digest)
        if known is not None and known.problem is None:
            return known
        if digest not in self._registering:
            task = asyncio.create_task(self._register(code, name), name=f"register {name[:40]}")
            self._registering[digest] = task
            task.add_done_callback(lambda _: self._registering.pop(digest, None))
        # Whoever asked first may give up; the others still wait.
        return await asyncio.shield(self._registering[digest])

    async def versions(self, name: str) -> Sequence[Version]:
        """Return the versions of a component type, the first seen first. Not for callers: they are of all tenants."""
        try:
            return await self._writer.versions(name)
        except RegistryUnavailableError:
            return (await self._snapshot.load()).versions(name)

    async def catalog(self) -> Sequence[Version]:
        """Return all versions ever seen. Not for callers: they are of all tenants."""
        try:
            return await self._writer.catalog()
        except RegistryUnavailableError:
            return tuple((await self._snapshot.load()).by_digest.values())

    async def _register(self, code: str, name: str) -> ComponentSpec:
        try:
            answer = await self._extract(code, name)
        except ComponentFailedError as cause:
            entry = broken(code, name, _said(cause), at=time.time())
        else:
            entry = extracted(code, name, answer, at=time.time())
        await self._writer.add(entry)
        self._keep(entry.spec)
        return entry.spec

    def _cached(self, digest: str) -> ComponentSpec | None:
        spec = self._known.get(digest) or self._cache.get(digest)
        if spec is not None and digest in self._cache:
            self._cache.move_to_end(digest)
        return spec

    def _keep(self, spec: ComponentSpec) -> None:
        """What was broken is asked for anew: somebody may have mended it."""
        if spec.problem is not None:
            return
        self._cache[spec.digest] = spec
        if len(self._cache) > _KEPT:
            self._cache.popitem(last=False)


class RegistryOnRay:
    """The registry's actor, looked up when it is first needed and again when it is gone."""

    def __init__(self) -> None:
        self._handle: Any = None

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """See `Writer`."""
        found: Mapping[str, ComponentSpec] = await self._call("specs", tuple(digests), within_s=_READ_S)
        return found

    async def add(self, entry: Entry) -> None:
        """See `Writer`."""
        await self._call("add", entry, within_s=_WRITE_S)

    async def versions(self, name: str) -> Sequence[Version]:
        """See `Writer`."""
        found: Sequence[Version] = await self._call("versions", name, within_s=_READ_S)
        return found

    async def catalog(self) -> Sequence[Version]:
        """See `Writer`."""
        found: Sequence[Version] = await self._call("catalog", within_s=_READ_S)
        return found

    async def _call(self, method: str, *arguments: Any, within_s: float) -> Any:
        import ray
        from ray.exceptions import RayError

        try:
            async with asyncio.timeout(within_s):
                if self._handle is None:
                    self._handle = await asyncio.to_thread(ray.get_actor, NAME, NAMESPACE)
                return await getattr(self._handle, method).remote(*arguments)
        except FlowRayError:
            # Raised in there, and passed on by Ray as its own kind and the cause's at once.
            raise
        except (RayError, TimeoutError, ValueError) as cause:
            self._handle = None
            raise RegistryUnavailableError(f"The component registry does not answer: {cause}") from cause


def _said(cause: ComponentFailedError) -> str:
    error_type = cause.facts.get("error_type")
    return f"{error_type}: {cause.message}" if error_type else cause.message
