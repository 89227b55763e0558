"""What an editor asks while somebody writes a component: the source is loaded in a sandbox, never here."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.failures import RunFailedError
from flowray.errors import FlowFormatError, FlowRayError, InvalidRequestError
from flowray.flow.compact import refuse_too_large
from flowray.runner.runner import EditorJob
from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.bodies.editing import CodeBody, ComponentBody, ComponentChange, ExpandBody, PromptBody
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says_object, takes
from flowray_serve.services import Services

_Body = TypeVar("_Body", bound=BaseModel)


class SourceError(InvalidRequestError):
    """The source makes no component."""

    code = "component_source"
    status = 400


class EditingRoutes:
    """The handlers of `/api/v1/custom_component`, `/api/v1/validate` and `/api/v1/flows/expand`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["editing"])
        for path, endpoint, body in (
            ("/custom_component", self.describe, ComponentBody),
            ("/custom_component/update", self.refresh, ComponentChange),
            ("/validate/code", self.validate, CodeBody),
            ("/validate/prompt", self.prompt, PromptBody),
            ("/flows/expand/", self.expand, ExpandBody),
        ):
            router.add_api_route(path, endpoint, methods=["POST"], openapi_extra=takes(body), responses=says_object())
        return router

    @needs(Permission.FLOWS_WRITE)
    async def describe(self, request: Request) -> Response:
        """The node that a component's source makes."""
        body = await self._sent(request, ComponentBody)
        told = await self._told("describe", {"code": body.code, "frontend_node": body.frontend_node})
        return reply({"data": told["frontend"], "type": told["name"]})

    @needs(Permission.FLOWS_WRITE)
    async def refresh(self, request: Request) -> Response:
        """The node after one of its fields got a value."""
        body = await self._sent(request, ComponentChange)
        return reply((await self._told("refresh", body.model_dump()))["frontend"])

    @needs(Permission.FLOWS_WRITE)
    async def validate(self, request: Request) -> Response:
        """What is wrong with a source: imports that are not there, functions that do not compile."""
        body = await self._sent(request, CodeBody)
        told = await self._told("validate", {"code": body.code})
        return reply({"imports": told["imports"], "function": told["function"]})

    @needs(Permission.FLOWS_WRITE)
    async def prompt(self, request: Request) -> Response:
        """The variables of a prompt, and its node with a field for each."""
        body = await self._sent(request, PromptBody)
        if not body.frontend_node:
            return reply({"input_variables": [], "frontend_node": None})
        return reply(await self._told("prompt", body.model_dump()))

    @needs(Permission.FLOWS_WRITE, only_tells=True)
    async def expand(self, request: Request) -> Response:
        """The whole flow that a description in lfx's compact form stands for; nothing is published."""
        body = await self._sent(request, ExpandBody)
        refuse_too_large(body.spec)
        return reply((await self._told("expand", body.model_dump()))["flow"])

    async def _sent(self, request: Request, model: type[_Body]) -> _Body:
        content = await read_body(request, limit_bytes=self._services.limits.flow_bytes)
        return fit(model, parse_object(content))

    async def _told(self, job: EditorJob, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await self._services.examine(job, facts)
        except RunFailedError as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            raise _fault(job, error.message) from error


def _fault(job: EditorJob, why: str) -> FlowRayError:
    """What the job was given is at fault."""
    return FlowFormatError(why) if job == "expand" else SourceError(f"Error building Component: {why}")
