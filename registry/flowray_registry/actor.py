"""The registry's one writer: a detached Ray actor that outlives who started it, and restarts with its catalog."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from flowray.component.known import known_components
from flowray.component.spec import ComponentSpec
from flowray.stores.objects import open_objects
from flowray_registry import NAME, NAMESPACE
from flowray_registry.catalog import Catalog, Version
from flowray_registry.entry import Entry, shipped
from flowray_registry.snapshot import Snapshot

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_KEPT = 1_000


class Registry:
    """Holds the catalog and writes the record; the actor is a shell around it. `known` are the components lfx ships."""

    def __init__(
        self, snapshot: Snapshot, known: Mapping[str, ComponentSpec], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._snapshot = snapshot
        self._known = known
        self._clock = clock
        self._catalog = Catalog()
        self._specs: OrderedDict[str, ComponentSpec] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> None:
        """Load the catalog, and record what lfx ships: it stays resolvable when another lfx is installed."""
        self._catalog = await self._snapshot.load()
        now = self._clock()
        await self._add([shipped(spec, at=now) for spec in self._known.values()])

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """Return those of the versions that were ever seen."""
        held = {digest: spec for digest in digests if (spec := self._held(digest))}
        wanted = [digest for digest in digests if digest not in held and digest in self._catalog.by_digest]
        read = {one.spec.digest: one.spec for one in await self._snapshot.read_all(wanted)}
        for spec in read.values():
            self._hold(spec)
        return {**held, **read}

    async def add(self, entry: Entry) -> None:
        """Take a version into the catalog; it is on record when this returns."""
        await self._add([entry])

    async def versions(self, name: str) -> Sequence[Version]:
        """Return the versions of a component type, the first seen first."""
        return self._catalog.versions(name)

    async def catalog(self) -> Sequence[Version]:
        """Return all versions ever seen, of all tenants."""
        return tuple(self._catalog.by_digest.values())

    async def _add(self, new: Sequence[Entry]) -> None:
        async with self._one_at_a_time:
            wanted = [one for one in new if self._catalog.wants(one)]
            if not wanted:
                return
            catalog = self._catalog.with_(wanted)
            await self._snapshot.write(wanted, catalog)
            self._catalog = catalog
            for one in wanted:
                self._hold(one.spec)

    def _held(self, digest: str) -> ComponentSpec | None:
        return self._known.get(digest) or self._specs.get(digest)

    def _hold(self, spec: ComponentSpec) -> None:
        """What is broken is read anew each time: it may have been mended while it was being read."""
        if spec.digest in self._known or spec.problem is not None:
            return
        self._specs[spec.digest] = spec
        self._specs.move_to_end(spec.digest)
        if len(self._specs) > _KEPT:
            self._specs.popitem(last=False)


class RegistryActor:
    """The registry as an actor, over the object store at `url`."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._snapshot = Snapshot(open_objects(url, options=options))
        self._starting = asyncio.Lock()
        self._registry: Registry | None = None

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """See `Registry`."""
        return await (await self._started()).specs(digests)

    async def add(self, entry: Entry) -> None:
        """See `Registry`."""
        await (await self._started()).add(entry)

    async def versions(self, name: str) -> Sequence[Version]:
        """See `Registry`."""
        return await (await self._started()).versions(name)

    async def catalog(self) -> Sequence[Version]:
        """See `Registry`."""
        return await (await self._started()).catalog()

    async def _started(self) -> Registry:
        """Start with the first call: an actor's constructor cannot wait, and a store that is away may come back."""
        async with self._starting:
            if self._registry is None:
                registry = Registry(self._snapshot, known_components())
                await registry.start()
                self._registry = registry
            return self._registry


def stop_registry() -> None:
    """End the cluster's registry, if there is one; what it knows is in the object store."""
    import ray

    with contextlib.suppress(ValueError):
        ray.kill(ray.get_actor(NAME, NAMESPACE))


def start_registry(url: str, options: Mapping[str, str] | None = None) -> ActorHandle[Any]:
    """Return the cluster's registry; starts it when there is none, over the object store at `url`."""
    import ray

    handle: Any = (
        ray.remote(RegistryActor)
        .options(
            name=NAME,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=3,
            max_concurrency=64,
        )
        .remote(url, dict(options or {}))
    )
    return cast("ActorHandle[Any]", handle)
