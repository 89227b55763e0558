"""What a tenant has used, and what of its quota is taken: its own for everybody who may look, any for operators."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import ForbiddenError
from flowray.quotas.usage import COLUMNS
from flowray.tenancy.permissions import Permission, allows
from flowray.tenancy.principal import Principal
from flowray_serve.answers.tenancy import QuotaRead, UsageRead
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says
from flowray_serve.services import Services

_ALL = "*"


class UsageRoutes:
    """The handlers of `/api/v1/usage` and `/api/v1/quota`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["usage"])
        router.add_api_route("/usage", self.usage, methods=["GET"], responses=says(UsageRead, or_as=["text/csv"]))
        router.add_api_route("/quota", self.quota, methods=["GET"], responses=says(QuotaRead))
        return router

    @needs(Permission.USAGE_READ)
    async def usage(
        self,
        request: Request,
        since: Annotated[date | None, Query(description="The first day, in UTC; else the first of this month.")] = None,
        until: Annotated[date | None, Query(description="The last day; else today.")] = None,
        by: Annotated[str, Query(description="Some of tenant, day, flow, node, model, apart by commas.")] = "day",
        tenant: Annotated[str, Query(description="Another tenant, or `*` for all: for operators.")] = "",
        media: Annotated[Literal["json", "csv"], Query(alias="format", description="How it is answered.")] = "json",
    ) -> Response:
        """What was used: runs, steps, calls of models, tokens, processor and memory time, money."""
        caller = await self._services.authenticator(request)
        tenants = await self._tenants(caller, tenant)
        today = datetime.now(UTC).date()
        groups = [group.strip() for group in by.split(",") if group.strip()]
        if len(tenants) > 1 and "tenant" not in groups:
            groups = ["tenant", *groups]
        until = until or today
        rows = await self._services.shares.usage(tenants, since=since or until.replace(day=1), until=until, by=groups)
        if media == "csv":
            return Response(_csv([*groups, *COLUMNS], rows), media_type="text/csv; charset=utf-8")
        return reply({"usage": rows})

    @needs(Permission.USAGE_READ)
    async def quota(
        self,
        request: Request,
        tenant: Annotated[str, Query(description="Another tenant: for operators.")] = "",
    ) -> Response:
        """What is settled for the tenant's share, and what of it is taken now."""
        caller = await self._services.authenticator(request)
        (named,) = (await self._tenants(caller, tenant if tenant != _ALL else ""))[:1]
        return reply(dict(await self._services.shares.quota(named)))

    async def _tenants(self, caller: Principal, asked: str) -> Sequence[str]:
        if asked in ("", caller.tenant):
            return [caller.tenant]
        if not allows(caller.roles, Permission.OPERATE):
            raise ForbiddenError("Only an operator may look at other tenants; leave `tenant` out.")
        if asked == _ALL:
            return [one.id for one in await self._services.tenants.list()]
        return [(await self._services.tenants.of(asked)).id]


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is marked as text: names of models come from sandboxes."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
