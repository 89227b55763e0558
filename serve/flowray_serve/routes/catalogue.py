"""The components that an editor offers: those of lfx, as its index has them, and nodes of other frameworks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.component.adapters import adapters
from flowray.component.index import find_index
from flowray.errors import NotFoundError
from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object
from flowray_serve.services import Services


class CatalogueRoutes:
    """The handlers of `/api/v1/all` and `/api/v1/starter-projects`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["editing"])
        router.add_api_route("/all", self.all, methods=["GET"], responses=says_object())
        router.add_api_route("/starter-projects/", self.starters, methods=["GET"], responses=says(list[dict[str, Any]]))
        return router

    @needs(Permission.FLOWS_READ)
    async def all(self, request: Request) -> Response:
        """All components by category, each as the node it makes."""
        del request
        return Response(_catalogue(), media_type="application/json")

    @needs(Permission.FLOWS_READ)
    async def starters(self, request: Request) -> Response:
        """Flows to begin with: a service ships none."""
        del request
        return reply([])


@cache
def _catalogue() -> bytes:
    """The index as Langflow answers it, made once: it has megabytes."""
    try:
        index = orjson.loads(find_index().read_bytes())
    except NotFoundError:
        return b"{}"
    categories = {category: components for category, components in index["entries"] if components}
    categories["frameworks"] = {kind: dict(adapter.shape.frontend) for kind, adapter in adapters().items()}
    words = {
        name.replace(" ", "").lower(): _words(node)
        for components in categories.values()
        for name, node in components.items()
    }
    return orjson.dumps({**categories, "component_display_names": words})


def _words(node: Mapping[str, Any]) -> dict[str, Any]:
    """What a component is called, in every language there is: English."""
    fields = {name: field for name, field in node["template"].items() if isinstance(field, dict)}
    return {
        "display_name": [node.get("display_name", "")],
        "description": [node.get("description", "")],
        "fields": {
            name: {"display_name": [field["display_name"]]} for name, field in fields.items() if "display_name" in field
        },
    }
