"""The audit log: a tenant's for its admins, any for operators. Here it is read; only deeds write it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowray.tenancy.act import SERVICE
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.past import AuditPage, AuditVerified
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says
from flowray_serve.services import Services

_LISTED_LIMIT = 1_000
_LINES = "application/x-ndjson"
_NUMBER_LIMIT = 2**53
After = Annotated[int, Query(ge=0, le=_NUMBER_LIMIT, description="Skip the records up to this number.")]
Limit = Annotated[int, Query(ge=1, le=_LISTED_LIMIT)]


class AuditRoutes:
    """The handlers of `/api/v1/audit`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._audit = services.audit

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
        router.add_api_route("", self.list, methods=["GET"], responses=says(AuditPage))
        router.add_api_route("/export", self.export, methods=["GET"], response_class=Response, responses=gives(_LINES))
        router.add_api_route("/verify", self.verify, methods=["GET"], responses=says(AuditVerified))
        return router

    @needs(Permission.AUDIT_READ)
    async def list(self, request: Request, after: After = 0, limit: Limit = 100) -> Response:
        """Records of what was done in the tenant, in order."""
        caller = await self._services.authenticator(request)
        return reply(await self._page(caller.tenant, after, limit))

    @needs(Permission.AUDIT_READ)
    async def export(self, request: Request, after: After = 0) -> Response:
        """All records, one JSON object a line, with the hashes that chain them."""
        caller = await self._services.authenticator(request)
        return self._export(caller.tenant, after)

    @needs(Permission.AUDIT_READ)
    async def verify(self, request: Request) -> Response:
        """Whether the chain is whole, and if not, where it was changed."""
        caller = await self._services.authenticator(request)
        return reply(await self._verified(caller.tenant))

    async def _page(self, chain: str, after: int, limit: int) -> dict[str, Any]:
        records: list[orjson.Fragment] = []
        async for line in self._audit.read(chain, after=after):
            records.append(orjson.Fragment(line))
            if len(records) == limit:
                break
        return {"chain": chain, "records": records}

    def _export(self, chain: str, after: int) -> Response:
        async def lines() -> AsyncGenerator[bytes, None]:
            async for line in self._audit.read(chain, after=after):
                yield line + b"\n"

        return StreamingResponse(lines(), media_type=_LINES)

    async def _verified(self, chain: str) -> dict[str, Any]:
        faults = await self._audit.verify(chain)
        return {"chain": chain, "whole": not faults, "faults": faults}


class AllAuditRoutes(AuditRoutes):
    """The same for operators, for any tenant, and for what operators do (`SERVICE`)."""

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/admin/audit/{tenant}", tags=["admin"])
        router.add_api_route("", self.list_of, methods=["GET"], responses=says(AuditPage))
        router.add_api_route(
            "/export", self.export_of, methods=["GET"], response_class=Response, responses=gives(_LINES)
        )
        router.add_api_route("/verify", self.verify_of, methods=["GET"], responses=says(AuditVerified))
        return router

    @needs(Permission.OPERATE)
    async def list_of(self, tenant: str, after: After = 0, limit: Limit = 100) -> Response:
        """Records of what was done in a tenant, or with `SERVICE` by operators, in order."""
        return reply(await self._page(await self._chain(tenant), after, limit))

    @needs(Permission.OPERATE)
    async def export_of(self, tenant: str, after: After = 0) -> Response:
        """All of them, one JSON object a line, with the hashes that chain them."""
        return self._export(await self._chain(tenant), after)

    @needs(Permission.OPERATE)
    async def verify_of(self, tenant: str) -> Response:
        """Whether the chain is whole, and if not, where it was changed."""
        return reply(await self._verified(await self._chain(tenant)))

    async def _chain(self, tenant: str) -> str:
        return tenant if tenant == SERVICE else (await self._services.tenants.of(tenant)).id
