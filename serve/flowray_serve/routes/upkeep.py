"""Upkeep by hand, for operators."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from starlette.responses import Response

from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object
from flowray_serve.services import Services


class UpkeepRoutes:
    """The handlers of `/api/v1/admin/reindex` and `/api/v1/admin/queue`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/admin", tags=["admin"])
        router.add_api_route("/reindex", self.reindex, methods=["POST"], responses=says(dict[str, int]))
        router.add_api_route("/queue", self.queue, methods=["GET"], responses=says_object())
        return router

    @needs(Permission.OPERATE)
    async def reindex(self) -> Response:
        """Bring Redis up to the record: accepted runs, callbacks, the list of runs."""
        return reply(asdict(await self._services.jobs.recovery.reindex()))

    @needs(Permission.OPERATE)
    async def queue(self) -> Response:
        """All queues at a glance, and each tenant's that is not empty."""
        queue = self._services.jobs.queue
        waiting = [asdict(one) for one in await queue.waiting()]
        return reply({**asdict(await queue.stats()), "tenants": waiting})
