"""`POST /api/v1/webhook/{flow}`: whatever is sent goes to the flow's Webhook nodes, in a run in the background."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import Taken
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import read_body
from flowray_serve.queueing.jobs import Wishes
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.routes.wishes import callback_of, idempotency_of
from flowray_serve.run_service import RunOrder, anybody
from flowray_serve.services import Services

_WEBHOOK = "Webhook"
_TAKEN = {"message": "Task started in the background", "status": "in progress"}


class EmptyWebhookError(InvalidRequestError):
    """A webhook came without a body."""

    code = "empty_webhook"
    status = 400


class WebhookRoutes:
    """The handler of webhooks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter(prefix="/api/v1", tags=["run"], route_class=DirectRoute)
        router.add_api_route(
            "/webhook/{flow}", self.take, methods=["POST"], status_code=202, responses=says(Taken, status=202)
        )
        return router

    @needs(Permission.RUNS_START)
    async def take(self, request: Request, flow: str) -> Response:
        """Run a flow in the background with the body as its Webhook nodes' `data`."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        if not content:
            raise EmptyWebhookError("The body is empty; send what the flow's Webhook component shall get.")
        loaded = await self._services.library.load(caller.tenant, flow, whom=anybody())
        data = _text(content)
        order = RunOrder(
            tweaks={node.id: {"data": data} for node in loaded.flow.nodes if node.component == _WEBHOOK},
            variables=header_variables(request),
            trace=header_trace(request),
        )
        prepared = await self._services.runs.prepare_loaded(caller.tenant, loaded, order)
        wishes = Wishes(
            mode="webhook",
            callback=callback_of(request),
            idempotency=idempotency_of(request, "webhook", flow, content),
        )
        taken = await self._services.jobs.accept(prepared, wishes)
        return reply(_TAKEN, status=202, headers={RUN_HEADER: taken.request.run})


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        raise InvalidRequestError(f"The body is not UTF-8 text: {cause.reason} at byte {cause.start}.") from cause
