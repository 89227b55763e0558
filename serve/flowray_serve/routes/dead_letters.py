"""Dead letters: runs and callbacks that were given up, listed with the reason and driven again; and upkeep by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.stores.dead_letters import DeadLetter
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import CallbackKey, DeadLetterList, Redriven
from flowray_serve.auth import needs
from flowray_serve.bodies.dead_letters import RedriveBody
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.queueing.callbacks import spoken_key
from flowray_serve.queueing.redriving import Wanted
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services

_LISTED_LIMIT = 500
_BODY_LIMIT_BYTES = 256 * 1024
_Filter = Annotated[str, Query(max_length=300)]


class DeadLetterRoutes:
    """The handlers of `/api/v1/dead-letters` and of the callbacks' key."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["dead letters"])
        router.add_api_route("/dead-letters", self.list, methods=["GET"], responses=says(DeadLetterList))
        router.add_api_route(
            "/dead-letters/redrive",
            self.redrive,
            methods=["POST"],
            openapi_extra=takes(RedriveBody),
            responses=says(Redriven),
        )
        router.add_api_route("/dead-letters/{name}", self.remove, methods=["DELETE"], status_code=204)
        router.add_api_route("/callbacks/key", self.key, methods=["GET"], responses=says(CallbackKey))
        return router

    @needs(Permission.RUNS_READ)
    async def list(
        self,
        request: Request,
        what: _Filter = "",
        kind: _Filter = "",
        flow: _Filter = "",
        limit: Annotated[int, Query(ge=1, le=_LISTED_LIMIT)] = 100,
    ) -> Response:
        """What was given up, the newest first, with the reason."""
        caller = await self._services.authenticator(request)
        fit(RedriveBody, {"what": what, "all": True})  # what is listed is named as what is driven again
        wanted = Wanted(what=what, kind=kind, flow=await self._flow(caller.tenant, flow), limit=limit)
        letters = await self._services.jobs.redriving.list(caller.tenant, wanted)
        return reply({"dead_letters": [_said(letter) for letter in letters]})

    @needs(Permission.RUNS_START)
    async def redrive(self, request: Request) -> Response:
        """Drive dead letters again: named ones, those that fit a filter, or all."""
        caller = await self._services.authenticator(request)
        body = fit(RedriveBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        flow = await self._flow(caller.tenant, body.flow)
        wanted = Wanted(ids=body.ids, what=body.what, kind=body.kind, flow=flow, before=body.before)
        return reply({"redriven": await self._services.jobs.redriving.redrive(caller.tenant, wanted)})

    async def _flow(self, tenant: str, name: str) -> str:
        """A flow's id for its endpoint name, which letters do not have: it may be another one by now."""
        found = await self._services.store.find(tenant, name) if name else None
        return name if found is None else found.id

    @needs(Permission.RUNS_STOP)
    async def remove(self, request: Request, name: str) -> Response:
        """Let a dead letter go."""
        caller = await self._services.authenticator(request)
        await self._services.jobs.redriving.remove(caller.tenant, name)
        return Response(status_code=204)

    @needs(Permission.KEYS)
    async def key(self, request: Request) -> Response:
        """The key that this tenant's callbacks are signed with (Standard Webhooks)."""
        caller = await self._services.authenticator(request)
        return reply({"key": spoken_key(self._services.jobs.secret, caller.tenant)})


def _said(letter: DeadLetter) -> dict[str, object]:
    return {"id": letter.id, **asdict(letter)}
