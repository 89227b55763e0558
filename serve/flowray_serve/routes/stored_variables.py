"""`/api/v1/variables/`: a tenant's variables, in Langflow's shapes. The value of a credential is in no answer."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray.tenancy.variable_record import Variable
from flowray_serve.answers.stored import VariableRead, VariablesNamed
from flowray_serve.auth import needs, on_record
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.variable import DetectionsBody, VariableBody, VariableChange
from flowray_serve.detections import named_in
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services

_BODY_LIMIT_BYTES = 1024 * 1024


class StoredVariableRoutes:
    """The handlers of `/api/v1/variables`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._variables = services.variables

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/variables", tags=["variables"])
        router.add_api_route("/", self.list, methods=["GET"], responses=says(list[VariableRead]))
        router.add_api_route(
            "/",
            self.create,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(VariableBody),
            responses=says(VariableRead, status=201),
        )
        router.add_api_route(
            "/detections",
            self.detect,
            methods=["POST"],
            openapi_extra=takes(DetectionsBody),
            responses=says(VariablesNamed),
        )
        router.add_api_route(
            "/{variable}",
            self.change,
            methods=["PATCH"],
            openapi_extra=takes(VariableChange),
            responses=says(VariableRead),
        )
        router.add_api_route("/{variable}", self.remove, methods=["DELETE"], status_code=204)
        return router

    @needs(Permission.VARIABLES_READ)
    async def list(self, request: Request) -> Response:
        """The tenant's variables by name."""
        caller = await self._services.authenticator(request)
        found = await self._variables.list(caller.tenant)
        return reply([self._read(caller.tenant, variable) for variable in found])

    @needs(Permission.VARIABLES_WRITE)
    async def create(self, request: Request) -> Response:
        """Keep a variable, encrypted, for the tenant's runs that refer to it."""
        caller = await self._services.authenticator(request)
        body = fit(VariableBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        on_record(request, name=body.name)
        made = await self._variables.create(
            caller.tenant,
            body.name,
            body.value,
            kind=body.type or "Credential",
            default_fields=body.default_fields or (),
        )
        return reply(self._read(caller.tenant, made), status=201)

    @needs(Permission.VARIABLES_READ)
    async def detect(self, request: Request) -> Response:
        """Which of the tenant's variables these versions of flows take a field's value from."""
        caller = await self._services.authenticator(request)
        body = fit(DetectionsBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        named = await named_in(self._services.store, caller.tenant, [str(one) for one in body.flow_version_ids])
        # Only what is a variable is told: a field may hold a secret where its author thought to name one.
        known = {variable.name for variable in await self._variables.list(caller.tenant)}
        return reply({"variables": sorted(named & known)})

    @needs(Permission.VARIABLES_WRITE)
    async def change(self, request: Request, variable: str) -> Response:
        """Change the fields that are sent."""
        caller = await self._services.authenticator(request)
        sent = parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES))
        body = fit(VariableChange, sent)
        # Langflow asks for the id here, too, and its editor sends more beside it than is a variable's own.
        if not body.model_fields_set and "id" not in sent:
            raise InvalidRequestError("This changes nothing: send `name`, `value`, `type` or `default_fields`.")
        return reply(
            self._read(caller.tenant, await self._variables.change(caller.tenant, variable, body.model_dump()))
        )

    @needs(Permission.VARIABLES_WRITE)
    async def remove(self, request: Request, variable: str) -> Response:
        """Forget a variable."""
        caller = await self._services.authenticator(request)
        await self._variables.remove(caller.tenant, variable)
        return Response(status_code=204)

    def _read(self, tenant: str, variable: Variable) -> VariableRead:
        return {
            "id": variable.id,
            "name": variable.name,
            "type": variable.type,
            "value": self._variables.value(tenant, variable) if variable.type == "Generic" else None,
            "has_value": True,
            "default_fields": list(variable.default_fields),
            "is_owner": True,
            "can_manage_shares": False,
            "validation_error": None,
            "is_valid": None,
        }
