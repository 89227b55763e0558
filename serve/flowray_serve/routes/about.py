"""What anyone may ask without a key: whether the service is up, and what it is."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flowray_serve.auth import open_to_all
from flowray_serve.replies import reply
from flowray_serve.services import Services

# The Langflow whose API this service speaks: its clients decide by it what they may send.
_LANGFLOW = "1.13.0"
_MIB = 1024 * 1024


class AboutRoutes:
    """Health, version, configuration."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["about"])
        router.add_api_route("/health", self.health, methods=["GET"])
        router.add_api_route("/health_check", self.health_check, methods=["GET"])
        router.add_api_route("/healthz", self.health_check, methods=["GET"], include_in_schema=False)
        router.add_api_route("/api/v1/version", self.version, methods=["GET"])
        router.add_api_route("/api/v1/config", self.config, methods=["GET"])
        return router

    @open_to_all
    async def health(self) -> Response:
        """Whether the service answers."""
        return reply({"status": "ok"})

    @open_to_all
    async def health_check(self) -> Response:
        """The same in Langflow's words."""
        return reply({"status": "ok", "chat": "ok", "db": "ok"})

    @open_to_all
    async def version(self) -> Response:
        """The version of this service and of the Langflow it is compatible with."""
        return reply(
            {"version": _LANGFLOW, "main_version": _LANGFLOW, "package": "FlowRay", "flowray": self._services.version}
        )

    @open_to_all
    async def config(self) -> Response:
        """What clients have to know before they send something."""
        limits = self._services.limits
        return reply(
            {
                "type": "public",
                "feature_flags": {},
                "event_delivery": "streaming",
                "max_file_size_upload": limits.file_bytes // _MIB,
            }
        )
