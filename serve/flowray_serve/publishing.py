"""Taking a flow in: read, checked, its components made known, and kept. A doubt is a finding, not a refusal."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowray.component.spec import ComponentSpec
from flowray.errors import ConflictError, FlowRayError, MissingPackageError, OvertakenError, PlanError
from flowray.flow.check import Finding
from flowray.flow.digest import digest
from flowray.flow.types import Flow, Json, Node, NodeId
from flowray.plan.types import Plan
from flowray.stores.records import NEW, FlowRecord, VersionRecord
from flowray_serve.bodies.flow import FlowBody, FlowChange
from flowray_serve.flow_answer import version_token
from flowray_serve.library import Checker, Planner, read_kept, unknown_flow
from flowray_serve.ports import FlowStore, Registry
from flowray_serve.taken_names import TakenNames

_log = logging.getLogger(__name__)

_LOADED_AT_ONCE = 2
_TRIES = 5
_TRIES_TO_NAME = 50


@dataclass(frozen=True, kw_only=True)
class Published:
    """A kept flow and what was noticed about it. `created` when it was not there before."""

    record: FlowRecord
    findings: Sequence[Finding]
    created: bool


class OutdatedFlowError(ConflictError):
    """`If-Match` names another version than the current one."""

    code = "flow_version_conflict"


# Raises for what no pool can load; what might be missing in a run is a doubt.
MissingPackages = Callable[[Flow], Sequence[Finding]]
# The digests of the images that a plan's steps run in.
ImagesOf = Callable[[Plan], Sequence[str]]


def _nothing_pinned(_: Plan) -> Sequence[str]:
    return ()


class Publisher:
    """Keeps flows, unless no pool has the packages that one needs.

    `patience_s` bounds how long the unknown components of one flow may take to load.
    """

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        *,
        store: FlowStore,
        registry: Registry,
        planner: Planner,
        checker: Checker,
        missing_packages: MissingPackages,
        images_of: ImagesOf = _nothing_pinned,
        patience_s: float = 30.0,
    ) -> None:
        self._store = store
        self._registry = registry
        self._planner = planner
        self._checker = checker
        self._missing_packages = missing_packages
        self._images_of = images_of
        self._patience_s = patience_s

    async def create(self, tenant: str, body: FlowBody) -> Published:
        """Keep a new flow. As in Langflow, a name in use gets a number and never refuses the flow."""
        return (await self.create_all(tenant, [body]))[0]

    async def create_all(self, tenant: str, bodies: Sequence[FlowBody]) -> Sequence[Published]:
        """Keep new flows, each as `create` does, one after the other."""
        taken = TakenNames(await self._store.list(tenant))
        return [await self._create(tenant, body, taken) for body in bodies]

    async def _create(self, tenant: str, body: FlowBody, taken: TakenNames) -> Published:
        for _ in range(_TRIES_TO_NAME - 1):
            flow_id, fields = taken.give(body)
            try:
                return await self._keep(tenant, flow_id, fields, old=None)
            except ConflictError:  # somebody else was given the name or the id meanwhile
                taken.refused(flow_id, await self._store.list(tenant))
        return await self._keep(tenant, *taken.give(body), old=None)

    async def put(self, tenant: str, flow_id: str, body: FlowBody, *, expected: str | None = None) -> Published:
        """Keep the flow under this id, whether or not it is there already. A new one's name gets a number if taken."""
        return await _unless_overtaken(lambda: self._put(tenant, flow_id, body, expected))

    async def _put(self, tenant: str, flow_id: str, body: FlowBody, expected: str | None) -> Published:
        there = await self._store.read(tenant, flow_id)
        fields = body.model_dump(exclude_unset=True)
        await self._refuse_taken_endpoint(tenant, flow_id, fields)
        if there is None:
            fields["name"] = TakenNames(await self._store.list(tenant)).free_name(body.name)
            return await self._keep(tenant, flow_id, fields, old=None)
        _refuse_outdated(there, expected)
        return await self._keep(tenant, flow_id, {**there.document, **fields}, old=there)

    async def change(self, tenant: str, flow_id: str, change: FlowChange, *, expected: str | None = None) -> Published:
        """Change some fields of a flow that is there; `expected` is the version token its author has seen."""
        return await _unless_overtaken(lambda: self._change(tenant, flow_id, change, expected))

    async def _change(self, tenant: str, flow_id: str, change: FlowChange, expected: str | None) -> Published:
        there = await self._store.read(tenant, flow_id)
        if there is None:
            raise unknown_flow(flow_id)
        _refuse_outdated(there, expected)
        fields = {
            name: value for name, value in change.model_dump(exclude_unset=True).items() if _is_change(name, value)
        }
        await self._refuse_taken_endpoint(tenant, flow_id, fields)
        return await self._keep(tenant, flow_id, {**there.document, **fields}, old=there)

    async def activate(
        self, tenant: str, flow_id: str, version: str, *, note: str, expected: str | None = None
    ) -> Published:
        """Have a flow be what it was in a version; its name and what else is said about it stay."""
        return await _unless_overtaken(lambda: self._activate(tenant, flow_id, version, note, expected))

    async def _activate(self, tenant: str, flow_id: str, version: str, note: str, expected: str | None) -> Published:
        there = await self._store.read(tenant, flow_id)
        kept = await self._store.read(tenant, flow_id, version=version)
        if there is None or kept is None:
            raise unknown_flow(flow_id)
        _refuse_outdated(there, expected)
        fields = {**there.document, "data": kept.document.get("data")}
        return await self._keep(tenant, flow_id, fields, old=there, note=note)

    async def keep_aside(
        self, tenant: str, flow_id: str, canvas: Mapping[str, Json], *, description: str | None = None
    ) -> tuple[VersionRecord, Sequence[Finding]]:
        """Keep a canvas as a version of a flow that stays what it is. It can be run by its number, as all can."""
        there = await self._store.read(tenant, flow_id)
        if there is None:
            raise unknown_flow(flow_id)
        document = {**there.document, "data": canvas}
        version, findings = await self._examined(tenant, read_kept(document), document)
        record = await self._store.versions.keep(tenant, flow_id, version, document, description=description)
        return record, findings

    async def _examined(
        self, tenant: str, flow: Flow, document: dict[str, Json], *, is_new: bool = False
    ) -> tuple[str, Sequence[Finding]]:
        """The digest of a document's flow and what there is to say of it; the document says then where it will run."""
        doubts = self._missing_packages(flow)  # before anything of it is loaded where it cannot be
        version = digest(flow)
        before = None if is_new else await self._store.read(tenant, str(document["id"]), version=version)
        images = (before.document.get("images") if before is not None else None) or ()
        findings, plan = await self._planned(tenant, flow, images)
        document["images"] = list(self._images_of(plan) if plan is not None else images)
        return version, (*findings, *doubts)

    async def _planned(self, tenant: str, flow: Flow, images: Sequence[str]) -> tuple[Sequence[Finding], Plan | None]:
        """All there is to say about a flow before it runs. Components seen first are registered on the way."""
        specs, doubts = await self._known_components(flow)
        found = [*self._checker(flow, specs), *doubts]
        if any(finding.severity == "error" for finding in found):
            return found, None
        try:
            return found, self._planner(flow, specs, tenant, images=images)
        except PlanError as error:
            node = NodeId(error.node) if isinstance(error, MissingPackageError) else None
            return [*found, Finding(severity="error", code=error.code, message=error.message, node=node)], None

    async def _keep(
        self,
        tenant: str,
        flow_id: str,
        fields: Mapping[str, Json],
        *,
        old: FlowRecord | None,
        note: str | None = None,
    ) -> Published:
        document = _json_ready(fields) | {
            "id": flow_id,
            "updated_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        if "version_token" not in document or old is None or document.get("data") != old.document.get("data"):
            document["version_token"] = str(uuid.uuid4())
        flow = read_kept(document)
        document["webhook"] = any(node.component == "Webhook" for node in flow.nodes)
        version, findings = await self._examined(tenant, flow, document, is_new=old is None)
        record = FlowRecord(id=flow_id, version=version, revision=uuid.uuid4().hex, document=document)
        await self._store.save(tenant, record, note=note, follows=old.revision if old is not None else NEW)
        facts = {"tenant": tenant, "flow": flow_id, "version": record.version, "findings": len(findings)}
        _log.info("Flow published", extra={"action": "flow_published", **facts})
        return Published(record=record, findings=findings, created=old is None)

    async def _refuse_taken_endpoint(self, tenant: str, flow_id: str, fields: Mapping[str, Json]) -> None:
        name = fields.get("endpoint_name")
        holder = await self._store.find(tenant, name) if name else None
        if holder is not None and holder.id != flow_id:
            raise ConflictError(f"The endpoint name `{name}` belongs to the flow `{holder.id}`. Choose another one.")

    async def _known_components(self, flow: Flow) -> tuple[Mapping[str, ComponentSpec], list[Finding]]:
        by_digest = {node.code_digest: node for node in flow.nodes if node.code_digest}
        known = dict(await self._registry.specs(by_digest))
        unknown = [node for code_digest, node in by_digest.items() if code_digest not in known]
        gate = asyncio.Semaphore(_LOADED_AT_ONCE)
        deadline = asyncio.get_running_loop().time() + self._patience_s
        outcomes = await asyncio.gather(*(self._introduce(node, gate, deadline) for node in unknown))
        known |= {spec.digest: spec for spec, _ in outcomes if spec is not None}
        return known, [doubt for _, doubt in outcomes if doubt is not None]

    async def _introduce(
        self, node: Node, gate: asyncio.Semaphore, deadline: float
    ) -> tuple[ComponentSpec | None, Finding | None]:
        """Register a component seen first. One that cannot be loaded now is a finding: it may load where it runs."""
        try:
            async with asyncio.timeout_at(deadline), gate:
                return await self._registry.register(node.code or "", node.component), None
        except TimeoutError:
            why = f"it was not loaded within {self._patience_s:g} s"
        except FlowRayError as error:
            why = error.message
        message = f"Component `{node.component[:80]}` could not be examined: {why}"
        return None, Finding(severity="warning", code="component_not_loaded", message=message, node=node.id)


async def _unless_overtaken(change: Callable[[], Awaitable[Published]]) -> Published:
    """Make a change of a flow as it is now: anew, should somebody else's be kept while this one is examined."""
    for _ in range(_TRIES - 1):
        try:
            return await change()
        except OvertakenError:
            continue
    return await change()


def _refuse_outdated(there: FlowRecord, expected: str | None) -> None:
    current = version_token(there)
    if expected not in (None, current):
        raise OutdatedFlowError(
            f"The flow was changed by somebody else after you loaded it: its version token is now `{current}`. "
            "Read it again, then change it."
        )


def _is_change(name: str, value: Any) -> bool:
    """Null takes a flow's optional fields away, but neither its name nor its canvas."""
    return value is not None or name not in ("name", "data")


def _json_ready(fields: Mapping[str, Any]) -> dict[str, Json]:
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in fields.items()}
