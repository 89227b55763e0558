"""The versions of a flow: listed, compared, made current again, and named by tags; in Langflow's shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.flow.changes import changes
from flowray.flow.export import without_secrets
from flowray.stores.records import FlowRecord, VersionRecord
from flowray.stores.tags import Canary
from flowray.stores.versions import UnknownVersionError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.flow import FlowRead, TagSet, VersionDifferences, VersionKept, VersionList, VersionWhole
from flowray_serve.answers.service import Message
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.version import VERSION_NAME_LIMIT, TagBody, VersionBody
from flowray_serve.flow_answer import findings_read, flow_read
from flowray_serve.langflow_ids import version_uuid
from flowray_serve.library import read_kept
from flowray_serve.replies import reply
from flowray_serve.routes.flows import expected_token
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services
from flowray_serve.version_answer import differences_read, tags_read, version_read

_Name = Annotated[str, Path(max_length=VERSION_NAME_LIMIT)]
_TAG = r"[A-Za-z][A-Za-z0-9._-]*"
# The pattern is told and not checked here: its mistake would be told as a pattern.
_TagName = Annotated[str, Path(max_length=VERSION_NAME_LIMIT, json_schema_extra={"pattern": f"^{_TAG}$"})]
# Langflow says how many a flow may have; here it is what numbers there are.
_MOST = 9_999_999


class VersionRoutes:
    """The handlers of `/api/v1/flows/{flow}/versions` and `/tags`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/flows/{flow}", tags=["versions"])
        router.add_api_route("/versions/", self.list, methods=["GET"], responses=says(VersionList))
        router.add_api_route(
            "/versions/",
            self.keep,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(VersionBody),
            responses=says(VersionKept, status=201),
        )
        router.add_api_route("/versions/{version}", self.read, methods=["GET"], responses=says(VersionWhole))
        router.add_api_route("/versions/{version}", self.forget, methods=["DELETE"], status_code=204)
        router.add_api_route("/versions/{version}/activate", self.activate, methods=["POST"], responses=says(FlowRead))
        router.add_api_route(
            "/versions/{version}/differences", self.differences, methods=["GET"], responses=says(VersionDifferences)
        )
        router.add_api_route("/tags", self.tags, methods=["GET"], responses=says(dict[str, str]))
        router.add_api_route(
            "/tags/{tag}", self.tag, methods=["PUT"], openapi_extra=takes(TagBody), responses=says(TagSet)
        )
        router.add_api_route("/tags/{tag}", self.untag, methods=["DELETE"], responses=says(Message))
        return router

    @needs(Permission.FLOWS_READ)
    async def list(
        self,
        request: Request,
        flow: str,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        offset: Annotated[int, Query(ge=0, le=_MOST)] = 0,
    ) -> Response:
        """The versions of a flow, the newest first, without their canvases."""
        caller, found = await self._flow(request, flow)
        versions = self._services.store.versions
        records, tags = await versions.all(caller, found.id), dict(await versions.tags(caller, found.id))
        shown = records[offset : offset + limit]
        entries = [version_read(caller, found, one, tags) for one in shown]
        return reply({"entries": entries, "max_entries": _MOST, "total": len(records), **tags_read(tags)})

    @needs(Permission.FLOWS_WRITE)
    async def keep(self, request: Request, flow: str) -> Response:
        """Keep a canvas as a version without making it the flow; without one, describe what the flow is now."""
        caller, found = await self._flow(request, flow)
        content = await read_body(request, limit_bytes=self._services.limits.flow_bytes)
        body = fit(VersionBody, parse_object(content))
        versions = self._services.store.versions
        if body.data is not None:
            record, findings = await self._services.publisher.keep_aside(
                caller, found.id, body.data, description=body.description
            )
            said: dict[str, Any] = {"findings": findings_read(findings)}
        else:
            record, said = await self._current(caller, found), {}
            if body.description is not None:
                record = await versions.describe(caller, found.id, record, body.description)
        tags = await versions.tags(caller, found.id)
        return reply({**version_read(caller, found, record, tags), **said}, status=201)

    @needs(Permission.FLOWS_READ)
    async def read(self, request: Request, flow: str, version: _Name) -> Response:
        """One version with its canvas, without the values of secrets."""
        caller, found = await self._flow(request, flow)
        record = await self._record(caller, found, version)
        kept = await self._kept(caller, found, record.version)
        tags = await self._services.store.versions.tags(caller, found.id)
        return reply(version_read(caller, found, record, tags) | {"data": without_secrets(kept.document).get("data")})

    @needs(Permission.FLOWS_WRITE)
    async def activate(self, request: Request, flow: str, version: _Name) -> Response:
        """Have the flow be what it was in this version: that is a new version, so nothing is lost."""
        caller, found = await self._flow(request, flow)
        record = await self._record(caller, found, version)
        published = await self._services.publisher.activate(
            caller, found.id, record.version, note=f"v{record.number} again", expected=expected_token(request)
        )
        return reply(flow_read(caller, published.record, published.findings))

    @needs(Permission.FLOWS_WRITE)
    async def forget(self, request: Request, flow: str, version: _Name) -> Response:
        """Forget a version that is neither current nor tagged."""
        caller, found = await self._flow(request, flow)
        record = await self._record(caller, found, version)
        await self._services.store.versions.forget(caller, found.id, record)
        return Response(status_code=204)

    @needs(Permission.FLOWS_READ)
    async def differences(
        self,
        request: Request,
        flow: str,
        version: _Name,
        other: Annotated[str, Query(max_length=VERSION_NAME_LIMIT, description="The later one.")] = "latest",
    ) -> Response:
        """What is different in another version, node by node; values of secrets are not shown."""
        caller, found = await self._flow(request, flow)
        before, after = [one.version for one in await self._records(caller, found, version, other)]
        was, now = [read_kept((await self._kept(caller, found, one)).document) for one in (before, after)]
        return reply(differences_read(before, after, changes(was, now)))

    @needs(Permission.FLOWS_READ)
    async def tags(self, request: Request, flow: str) -> Response:
        """The flow's tags, and the version that each stands at."""
        caller, found = await self._flow(request, flow)
        return reply(tags_read(await self._services.store.versions.tags(caller, found.id))["tags"])

    @needs(Permission.FLOWS_WRITE)
    async def tag(self, request: Request, flow: str, tag: _TagName) -> Response:
        """Have a tag stand at a version; one that stands elsewhere is moved, and a canary that it had ends."""
        _refuse_what_is_no_name(tag)
        caller, found = await self._flow(request, flow)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(TagBody, parse_object(content))
        versions = self._services.store.versions
        before = (await versions.tags(caller, found.id)).get(tag)
        version = (await self._record(caller, found, body.version)).version
        canary = None
        if body.canary is not None:
            other = (await self._record(caller, found, body.canary.version)).version
            canary = _canary(other, body.canary.share, beside=version)
        await versions.tag(caller, found.id, tag, version, canary=canary)
        said = {"tag": tag, "version": version, "before": before and before.version}
        return reply(said | ({"canary": asdict(canary)} if canary else {}))

    @needs(Permission.FLOWS_WRITE)
    async def untag(self, request: Request, flow: str, tag: _Name) -> Response:
        """Take a tag away; the version stays."""
        caller, found = await self._flow(request, flow)
        await self._services.store.versions.untag(caller, found.id, tag)
        return reply({"message": "Tag deleted successfully"})

    async def _flow(self, request: Request, flow: str) -> tuple[str, FlowRecord]:
        caller = await self._services.authenticator(request)
        return caller.tenant, await self._services.library.find(caller.tenant, flow)

    async def _current(self, tenant: str, flow: FlowRecord) -> VersionRecord:
        records = await self._services.store.versions.all(tenant, flow.id)
        return next((one for one in records if one.version == flow.version), VersionRecord(number=1, version="", at=0))

    async def _record(self, tenant: str, flow: FlowRecord, name: str) -> VersionRecord:
        return (await self._records(tenant, flow, name))[0]

    async def _records(self, tenant: str, flow: FlowRecord, *names: str) -> Sequence[VersionRecord]:
        """The versions of these names or ids; of several with the same content, the newest."""
        records = await self._services.store.versions.all(tenant, flow.id)
        return [await self._one_of(records, tenant, flow, name) for name in names]

    async def _one_of(
        self, records: Sequence[VersionRecord], tenant: str, flow: FlowRecord, name: str
    ) -> VersionRecord:
        numbered = [one for one in records if name in (f"v{one.number}", version_uuid(flow.id, one.number))]
        if numbered:
            return numbered[0]
        version = await self._services.library.version(tenant, flow, name)
        found = [one for one in records if one.version == version]
        if not found:
            raise UnknownVersionError(f"Version `{name[:80]}` of the flow `{flow.id}` was forgotten.")
        return found[0]

    async def _kept(self, tenant: str, flow: FlowRecord, version: str) -> FlowRecord:
        kept = await self._services.store.read(tenant, flow.id, version=version)
        if kept is None:
            raise UnknownVersionError(f"Version `{version[:12]}` of the flow `{flow.id}` was forgotten.")
        return kept


def _refuse_what_is_no_name(tag: str) -> None:
    if not re.fullmatch(_TAG, tag):
        begin = f"`{tag[:VERSION_NAME_LIMIT]}` cannot be a tag"
        raise InvalidRequestError(f"{begin}: it begins with a letter; letters, digits, `.`, `_` and `-` follow.")


def _canary(version: str, share: float, *, beside: str) -> Canary:
    if version == beside:
        raise InvalidRequestError("`canary.version` is the version that the tag stands at; name another one.")
    return Canary(version=version, share=share)
