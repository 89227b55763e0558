"""What operators do: tenants, and their keys. All of it takes the role `operator`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import ConflictError, NotFoundError
from flowray.tenancy.permissions import Permission
from flowray.tenancy.tenant import tenant_id
from flowray_serve.answers.tenancy import KeyList, KeyRead, KeyRevoked, TenantList, TenantRead, TenantRemoved
from flowray_serve.auth import needs, on_record
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.tenancy import KeyBody, KeyChangeBody, RotationBody, TenantBody, TenantChange
from flowray_serve.key_answer import keys_read
from flowray_serve.queueing.posting import checked_url
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services

Purge = Annotated[bool, Query(description="Remove all that it has as well, for good.")]
_BODY_LIMIT_BYTES = 1024 * 1024
_Body = TypeVar("_Body", bound=BaseModel)


class AdminRoutes:
    """The handlers of `/api/v1/admin`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/admin/tenants", tags=["admin"])
        router.add_api_route("", self.list, methods=["GET"], responses=says(TenantList))
        router.add_api_route(
            "",
            self.create,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(TenantBody),
            responses=says(TenantRead, status=201),
        )
        router.add_api_route("/{tenant}", self.read, methods=["GET"], responses=says(TenantRead))
        router.add_api_route(
            "/{tenant}", self.settle, methods=["PATCH"], openapi_extra=takes(TenantChange), responses=says(TenantRead)
        )
        router.add_api_route("/{tenant}", self.remove, methods=["DELETE"], responses=says(TenantRemoved))
        router.add_api_route("/{tenant}/keys", self.keys, methods=["GET"], responses=says(KeyList))
        router.add_api_route(
            "/{tenant}/keys",
            self.create_key,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(KeyBody),
            responses=says(KeyRead, status=201),
        )
        router.add_api_route("/{tenant}/keys/{key}", self.revoke_key, methods=["DELETE"], responses=says(KeyRevoked))
        router.add_api_route(
            "/{tenant}/keys/{key}",
            self.settle_key,
            methods=["PATCH"],
            openapi_extra=takes(KeyChangeBody),
            responses=says(KeyRead),
        )
        router.add_api_route(
            "/{tenant}/keys/{key}/rotate",
            self.rotate_key,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(RotationBody),
            responses=says(KeyRead, status=201),
        )
        return router

    @needs(Permission.OPERATE)
    async def list(self) -> Response:
        """All tenants with what is settled for each."""
        return reply({"tenants": [tenant.as_json() for tenant in await self._services.tenants.list()]})

    @needs(Permission.OPERATE)
    async def create(self, request: Request) -> Response:
        """Make a tenant."""
        body = await _read(request, TenantBody)
        on_record(request, tenant=body.id)
        self._check_webhook(body.settings)
        await self._require_free(tenant_id(body.id))
        made = await self._services.tenants.create(body.id, body.settings)
        return reply(made.as_json(), status=HTTPStatus.CREATED)

    @needs(Permission.OPERATE)
    async def read(self, tenant: str) -> Response:
        """One tenant."""
        return reply((await self._services.tenants.of(tenant)).as_json())

    @needs(Permission.OPERATE)
    async def settle(self, request: Request, tenant: str) -> Response:
        """Settle something for a tenant; every gateway goes by it within a second."""
        body = await _read(request, TenantChange)
        on_record(request, settings=", ".join(body.settings))
        self._check_webhook(body.settings)
        settled = await self._services.tenants.settle(tenant, body.settings, revision=body.revision)
        return reply(settled.as_json())

    @needs(Permission.OPERATE)
    async def remove(self, tenant: str, *, purge: Purge = False) -> Response:
        """Forget a suspended tenant and revoke its keys. What else it has stays in the object store unless purged."""
        found = await self._services.tenants.find(tenant_id(tenant))
        if found is None and not (purge and await self._services.tenant_data.is_there(tenant)):
            raise NotFoundError(f"There is no tenant `{tenant}`.")
        if found is not None and found.is_active:
            raise ConflictError(f"The tenant `{tenant}` is active. Suspend it first, and see that nobody misses it.")
        await self._services.tenants.remove(tenant)
        revoked = await self._services.keys.revoke_all(tenant)
        purged = await self._services.tenant_data.purge(tenant) if purge else 0
        await self._services.variables.forget(tenant)
        return reply({"removed": tenant, "keys_revoked": revoked, "objects_purged": purged})

    @needs(Permission.OPERATE)
    async def keys(self, tenant: str) -> Response:
        """A tenant's keys, each by its first characters only."""
        await self._services.tenants.of(tenant)
        return reply(keys_read(tenant, await self._services.keys.list(tenant)))

    @needs(Permission.OPERATE)
    async def create_key(self, request: Request, tenant: str) -> Response:
        """Make a key of a tenant. The answer is the only time that it is said."""
        caller = await self._services.authenticator(request)
        await self._services.tenants.of(tenant)
        body = await _read(request, KeyBody)
        issued = await self._services.keys.create(tenant, body, caller)
        on_record(request, key=issued["id"], name=issued["name"])
        return reply(issued, status=HTTPStatus.CREATED)

    @needs(Permission.OPERATE)
    async def revoke_key(self, request: Request, tenant: str, key: str) -> Response:
        """Revoke a tenant's key."""
        await self._services.keys.revoke(tenant, key, await self._services.authenticator(request))
        return reply({"revoked": key})

    @needs(Permission.OPERATE)
    async def settle_key(self, request: Request, tenant: str, key: str) -> Response:
        """Change a key's roles, or when it ends; every gateway goes by it within a second."""
        caller = await self._services.authenticator(request)
        settled = await self._services.keys.settle(tenant, key, await _read(request, KeyChangeBody), caller)
        on_record(request, roles=", ".join(settled["roles"]))
        return reply(settled)

    @needs(Permission.OPERATE)
    async def rotate_key(self, request: Request, tenant: str, key: str) -> Response:
        """Make a key that may the same, and revoke the old one, at once or after `grace_s`."""
        caller = await self._services.authenticator(request)
        issued = await self._services.keys.rotate(tenant, key, await _read(request, RotationBody), caller)
        return reply(issued, status=HTTPStatus.CREATED)

    async def _require_free(self, tenant: str) -> None:
        """What is there of an id is its tenant's, if that lives; else a former one has left it."""
        try:
            await self._services.tenant_data.require_free(tenant)
        except ConflictError as left:
            if await self._services.tenants.find(tenant) is None:
                raise
            raise ConflictError(f"There is a tenant `{tenant}` already.") from left

    def _check_webhook(self, settings: Mapping[str, Any]) -> None:
        """Refuse, while somebody reads it, a budgets' webhook that could never be told."""
        budgets = settings.get("budgets")
        webhook = budgets.get("webhook") if isinstance(budgets, Mapping) else None
        if isinstance(webhook, str) and webhook:
            checked_url(webhook, private=self._services.jobs.private_hosts)


async def _read(request: Request, model: type[_Body]) -> _Body:
    return fit(model, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
