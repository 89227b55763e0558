"""What anyone may ask without a key: whether the service is up, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from flowray_serve.answers.service import Health, HealthCheck, VersionOfService
from flowray_serve.auth import open_to_all
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object
from flowray_serve.services import Services

# The Langflow whose API this service speaks: its clients decide by it what they may send.
_LANGFLOW = "1.13.0"
_MIB = 1024 * 1024
# What Langflow's clients look for before they show or send something; its editor reads all of it.
_CONFIG: Mapping[str, Any] = {
    "type": "full",
    "feature_flags": {
        "wxo_deployments": False,
        "mvp_components": False,
        "instance_migration": False,
        "data_subject_requests": False,
    },
    "event_delivery": "streaming",
    "serialization_max_items_length": 1000,
    "serialization_max_text_length": 6000,
    "auto_saving": True,
    "auto_saving_interval": 5000,
    "health_check_max_retries": 5,
    "webhook_polling_interval": 0,
    "webhook_auth_enable": True,
    "default_folder_name": "Starter Project",
    "allow_custom_components": True,
    "custom_component_admin_only": False,
    "substitute_outdated_component_code": False,
    "frontend_timeout": 0,
    "public_flow_cleanup_interval": 3600,
    "public_flow_expiration": 86400,
    "assistant_max_message_length": 2000,
    "mcp_base_url": "",
    "default_vector_store_backend": "sqlite",
    "configured_vector_store_backends": [],
    "blocked_component_types": [],
} | dict.fromkeys(
    (
        "a2a_enabled",
        "agentic_experience",
        "authz_enabled",
        "catalog_governance_enabled",
        "embedded_mode",
        "enable_extension_reload",
        "hide_getting_started_progress",
        "hide_logout_button",
        "hide_new_flow_button",
        "hide_new_project_button",
        "hide_starter_projects",
        "local_vector_store_available",
        "mcp_servers_locked",
        "voice_mode_available",
    ),
    False,
)


class AboutRoutes:
    """Health, version, configuration."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["about"])
        router.add_api_route("/health", self.health, methods=["GET"], responses=says(Health))
        router.add_api_route("/health_check", self.health_check, methods=["GET"], responses=says(HealthCheck))
        router.add_api_route("/healthz", self.health_check, methods=["GET"], include_in_schema=False)
        router.add_api_route("/api/v1/version", self.version, methods=["GET"], responses=says(VersionOfService))
        router.add_api_route("/api/v1/config", self.config, methods=["GET"], responses=says_object())
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
        return reply({**_CONFIG, "max_file_size_upload": self._services.limits.file_bytes // _MIB})
