"""Published flows, ready to run: parsed and planned once per version, however often they run."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from flowray.component.references import named_by_fields, words_of
from flowray.component.spec import ComponentSpec
from flowray.engine.values import Ref
from flowray.errors import NotFoundError
from flowray.flow.check import Finding, require_runnable
from flowray.flow.hosts import hosts_of
from flowray.flow.langflow import read
from flowray.flow.tweaks import tweak
from flowray.flow.types import Field, Flow, Json
from flowray.plan.types import Plan
from flowray.stores.records import FlowRecord
from flowray.stores.versions import UnknownVersionError
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray.tenancy.permissions import Permission, require
from flowray.tenancy.principal import Principal
from flowray_serve.ports import FlowStore, Registry

Specs = Mapping[str, ComponentSpec]
Checker = Callable[[Flow, Specs], Sequence[Finding]]

_AT = "@"
_UPLOADED = re.compile(r"[\w.-]{1,255}/")


class Planner(Protocol):
    """Plans a flow for a tenant (pools may be somebody's own), in pools with one of these images if there are any."""

    def __call__(self, flow: Flow, specs: Specs, tenant: str, /, *, images: Collection[str] = ()) -> Plan:
        """Return the plan."""


class UnknownFlowError(NotFoundError):
    """The tenant has no flow of that name."""


@dataclass(frozen=True)
class LoadedFlow:
    """A flow that may run. `flow` has streaming switched off, `streaming` on, as Langflow does per request."""

    id: str
    flow: Flow
    plan: Plan

    @cached_property
    def streaming(self) -> Flow:
        """The flow with streaming switched on."""
        return tweak(self.flow, {}, stream=True)

    @cached_property
    def hosts(self) -> tuple[str, ...] | None:
        """The hosts that it says it needs; None when it says nothing."""
        return hosts_of(self.flow)

    @cached_property
    def file_paths(self) -> frozenset[str]:
        """The uploaded files it names, of whatever owner."""
        return named_files(self.flow)

    def references_of(self, flow: Flow) -> frozenset[str]:
        """The names of variables that `flow`, which is this one with a caller's tweaks, may refer to."""
        untouched = flow is self.flow or flow is self.streaming
        return self._references if untouched else self._references | named_by_fields(flow)

    @cached_property
    def _references(self) -> frozenset[str]:
        return words_of(self.flow) | named_by_fields(self.flow)


class Library:
    """Finds flows for runs. Only what names the current version is asked for each time; the rest is kept."""

    def __init__(
        self, *, store: FlowStore, registry: Registry, planner: Planner, checker: Checker, capacity: int = 256
    ) -> None:
        self._store = store
        self._registry = registry
        self._planner = planner
        self._checker = checker
        self._capacity = capacity
        self._loaded: OrderedDict[tuple[str, str, str], LoadedFlow] = OrderedDict()

    async def load(self, tenant: str, name: str, *, whom: str | None = None) -> LoadedFlow:
        """A flow, by id or endpoint name: its current version, or the one named behind an `@`.

        Behind a tag with a canary, `whom` draws: runs of one session get one version. Without, nobody gets the canary.
        """
        found, version = await self._meant(tenant, name, whom)
        key = (tenant, found.id, version or found.revision)
        loaded = self._loaded.get(key)
        if loaded is not None:
            self._loaded.move_to_end(key)
            return loaded
        record = await self._kept(tenant, found, version)
        images = record.document.get("images") or ()
        loaded = await self.ready(tenant, record.id, read_kept(record.document), images=images)
        self._loaded[key if version else (tenant, record.id, record.revision)] = loaded
        if len(self._loaded) > self._capacity:
            self._loaded.popitem(last=False)
        return loaded

    async def find(self, tenant: str, name: str) -> FlowRecord:
        """The flow with this id or endpoint name."""
        record = await self._store.find(tenant, name)
        if record is None:
            raise unknown_flow(name, _named(name, await self._store.list(tenant)))
        return record

    async def read(self, tenant: str, name: str) -> FlowRecord:
        """A flow with its canvas, by what `load` takes."""
        found, version = await self._meant(tenant, name)
        return await self._kept(tenant, found, version)

    async def _kept(self, tenant: str, found: FlowRecord, version: str | None) -> FlowRecord:
        """The flow with its canvas. It may have gone since it was found, and so may its version alone."""
        record = await self._store.read(tenant, found.id, version=version)
        if record is not None:
            return record
        known_as = found.endpoint_name or found.id
        if version is None or await self._store.find(tenant, found.id) is None:
            raise unknown_flow(known_as)
        raise UnknownVersionError(f"Version `{version[:12]}` of the flow `{known_as}` was forgotten.")

    async def version(self, tenant: str, flow: FlowRecord, name: str, *, whom: str | None = None) -> str:
        """The version of a flow that a name means: a tag, `v3`, `latest`, a digest or its beginning."""
        version = await self._store.versions.resolve(tenant, flow.id, name, whom=whom)
        if version is None:
            raise UnknownVersionError(
                f"The flow `{flow.endpoint_name or flow.id}` has no version `{name[:80]}`. "
                "Name a tag, a number such as `v3`, `latest`, or the first 8 digits of a digest or more."
            )
        return version

    async def _meant(self, tenant: str, name: str, whom: str | None = None) -> tuple[FlowRecord, str | None]:
        name, at, version = name.partition(_AT)
        found = await self.find(tenant, name)
        return found, await self.version(tenant, found, version, whom=whom) if at else None

    async def sent(self, caller: Principal, name: str, canvas: Mapping[str, Json]) -> LoadedFlow:
        """A flow as its caller drew it, which is kept nowhere.

        A canvas brings source along, which runs with what the tenant's variables are: to send one takes the permission
        to change flows (`ForbiddenError`).
        """
        require(caller, Permission.FLOWS_WRITE)
        saved = await self.find(caller.tenant, name.partition(_AT)[0])
        return await self.ready(caller.tenant, saved.id, read({**saved.document, "data": canvas}))

    async def ready(self, tenant: str, flow_id: str, flow: Flow, *, images: Collection[str] = ()) -> LoadedFlow:
        """`flow`, planned; `FlowInvalidError` when its findings forbid running it."""
        specs = await self._registry.specs({node.code_digest for node in flow.nodes if node.code_digest})
        require_runnable(self._checker(flow, specs))
        return LoadedFlow(
            id=flow_id, flow=tweak(flow, {}, stream=False), plan=self._planner(flow, specs, tenant, images=images)
        )

    async def files_of(self, tenant: str, loaded: LoadedFlow, flow: Flow) -> Mapping[str, Ref]:
        """The uploaded files that `flow`, which is `loaded` with a caller's tweaks, reads: its own and the tenant's."""
        untouched = flow is loaded.flow or flow is loaded.streaming
        paths = loaded.file_paths if untouched else named_files(flow)
        folders = (f"{loaded.id}/", f"{tenant_uuid(tenant, 'user')}/")
        found = {path: await self._store.find_file(tenant, path) for path in paths if path.startswith(folders)}
        return {path: ref for path, ref in found.items() if ref is not None}


def named_files(flow: Flow) -> frozenset[str]:
    """The paths of uploads that its fields name: each begins with an id, of a flow or of a tenant."""
    texts = (text for node in flow.nodes for field in node.fields.values() for text in _texts(field))
    return frozenset(text for text in texts if _UPLOADED.match(text))


def read_kept(document: Mapping[str, Json]) -> Flow:
    """The flow that was kept; one that was never drawn is an empty one."""
    return read({**document, "data": document.get("data") or {"nodes": [], "edges": []}})


def _named(name: str, flows: Iterable[FlowRecord]) -> FlowRecord | None:
    """The flow that has this for its mere name, or else one that has it in another case."""
    alike = [one for one in flows if str(one.name).casefold() == name.casefold()]
    return min(alike, key=lambda one: one.name != name, default=None)


def unknown_flow(name: str, named: FlowRecord | None = None) -> UnknownFlowError:
    """The error for a flow that this tenant does not have; `named` is the one that may be meant."""
    said = f"There is no flow with the id or endpoint name `{name[:80]}`."
    if named is None:
        return UnknownFlowError(said)
    known_as = f"a flow named `{str(named.name)[:80]}` has the id {named.id}"
    if named.endpoint_name:
        return UnknownFlowError(
            f"{said[:-1]}, but {known_as} and the endpoint name `{named.endpoint_name}`: use those."
        )
    return UnknownFlowError(f"{said[:-1]}, but {known_as}: use it, or give the flow an endpoint name.")


def _texts(field: Field) -> Iterator[str]:
    values = field.value if isinstance(field.value, list) else [field.value]
    return (value for value in values if isinstance(value, str))
