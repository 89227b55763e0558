"""The list of all versions ever seen. Pure: adding gives a new catalog, and nothing is ever taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import orjson

from flowray_registry.entry import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of a component, as the list shows it. `broken` when it could not be loaded."""

    digest: str
    name: str
    origin: str
    registered_at: float
    broken: bool = False


@dataclass(frozen=True)
class Catalog:
    """All versions by digest."""

    by_digest: Mapping[str, Version] = field(default_factory=dict)

    def with_(self, entries: Iterable[Entry]) -> Catalog:
        """Return the catalog with these versions in it; one that is there already keeps its place."""
        return Catalog({**self.by_digest, **{one.spec.digest: self._version(one) for one in entries}})

    def wants(self, entry: Entry) -> bool:
        """Tell whether an entry is new, or mends one that was broken."""
        there = self.by_digest.get(entry.spec.digest)
        return there is None or (there.broken and entry.spec.problem is None)

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return the versions of a component type, the first seen first."""
        return self._by_name.get(name, ())

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[Version, ...]]:
        named: dict[str, list[Version]] = {}
        for version in sorted(self.by_digest.values(), key=lambda one: (one.registered_at, one.digest)):
            named.setdefault(version.name, []).append(version)
        return {name: tuple(versions) for name, versions in named.items()}

    def _version(self, entry: Entry) -> Version:
        there = self.by_digest.get(entry.spec.digest)
        return Version(
            digest=entry.spec.digest,
            name=entry.spec.name,
            origin=entry.spec.origin,
            registered_at=there.registered_at if there else entry.registered_at,
            broken=entry.spec.problem is not None,
        )


def encode(catalog: Catalog) -> bytes:
    """Return the catalog as a document."""
    return orjson.dumps([asdict(version) for version in catalog.by_digest.values()])


def decode(document: bytes) -> Catalog:
    """Return the catalog of a document that this module wrote."""
    versions = (Version(**kept) for kept in orjson.loads(document))
    return Catalog({version.digest: version for version in versions})
