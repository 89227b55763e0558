"""A registry in memory: what the record holds can be seen, and the writer can be sent away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowray.component.frontend import spec_of
from flowray.component.spec import ComponentSpec
from flowray.engine.values import Ref
from flowray.errors import NotFoundError
from flowray_registry.actor import Registry
from flowray_registry.catalog import Version
from flowray_registry.entry import Entry
from flowray_registry.reader import Reader, RegistryUnavailableError
from flowray_registry.snapshot import Snapshot


@dataclass(frozen=True)
class Found:
    key: str


class FakeRecords:
    """Objects in memory. While `held` is set to an event, what was read comes only once that is set."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.writes = 0
        self.reads = asyncio.Event()
        self.held: asyncio.Event | None = None

    async def put(self, key: str, data: bytes) -> Ref:
        self.writes += 1
        self.stored[key] = data
        return Ref(key=key, size=len(data), sha256="")

    async def get(self, key: str) -> bytes:
        if key not in self.stored:
            raise NotFoundError("There is no such object.")
        found = self.stored[key]
        if self.held is not None:
            self.reads.set()
            await self.held.wait()
        return found

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        for key in sorted(self.stored):
            if key.startswith(f"{prefix}/"):
                yield Found(key)


class FakeSandbox:
    """Answers for a component's source, or raises what it was told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Mapping[str, Any] | Exception | None = None

    async def extract(self, code: str, name: str) -> Mapping[str, Any]:
        self.asked.append(code)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or {"frontend": frontend(code), "imports": ["httpx"], "name": name}


class Writer:
    """The registry, as long as it is there."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.away = False
        self.calls = 0

    def _called(self) -> Registry:
        self.calls += 1
        if self.away:
            raise RegistryUnavailableError("gone")
        return self.registry

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        return await self._called().specs(digests)

    async def add(self, entry: Entry) -> None:
        await self._called().add(entry)

    async def versions(self, name: str) -> Sequence[Version]:
        return await self._called().versions(name)

    async def catalog(self) -> Sequence[Version]:
        return await self._called().catalog()


@dataclass
class House:
    """All parts, wired."""

    records: FakeRecords = field(default_factory=FakeRecords)
    sandbox: FakeSandbox = field(default_factory=FakeSandbox)
    known: Mapping[str, ComponentSpec] = field(default_factory=dict)

    async def registry(self, *, at: float = 100.0) -> Registry:
        registry = Registry(Snapshot(self.records), self.known, clock=lambda: at)
        await registry.start()
        return registry

    def reader(self, writer: Writer) -> Reader:
        return Reader(writer, Snapshot(self.records), known=self.known, extract=self.sandbox.extract)


def frontend(code: str, **more: Any) -> dict[str, Any]:
    template = {
        "_type": "Component",
        "code": {"type": "code", "value": code},
        "text": {"type": "str", "value": "", "input_types": ["Message"]},
    }
    outputs = [{"name": "out", "types": ["Message"], "method": "make"}]
    return {"display_name": "Mine", "template": template, "outputs": outputs, "base_classes": ["Message"], **more}


def shipped_by_lfx(*codes: str) -> Mapping[str, ComponentSpec]:
    specs = [spec_of("Shipped", frontend(code), origin="lfx") for code in codes]
    return {spec.digest: spec for spec in specs}
