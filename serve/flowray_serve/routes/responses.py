"""`POST /api/v1/responses`: a flow as a model of OpenAI's Responses API, as Langflow answers it.

What goes wrong with the request is an `error` in the body of a 200 answer: that is what Langflow's clients read.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.events import MessageAdded
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError, NotFoundError
from flowray.flow.types import Flow
from flowray.tenancy.permissions import Permission
from flowray_serve import openai_answer as openai
from flowray_serve.auth import needs
from flowray_serve.bodies.openai import ResponsesBody
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.openai_error import error_body
from flowray_serve.problems import incident
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says_object, takes
from flowray_serve.routes.queries import CANCEL, described, says_yes
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.spoken import Spoken, said, tool_calls
from flowray_serve.streams import EventStream, commented

_QUERY = described(cancel_on_disconnect="Stop a streamed run when its reader goes away.")
_NEEDS = "Flow must have a {} component to be compatible with OpenAI Responses API"


class ResponsesRoutes:
    """The handler of `/api/v1/responses`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["openai"], route_class=DirectRoute)
        router.add_api_route(
            "/responses",
            self.respond,
            methods=["POST"],
            openapi_extra=_QUERY | takes(ResponsesBody),
            responses=says_object(or_as=[EventStream.media_type]),
        )
        return router

    @needs(Permission.RUNS_START)
    async def respond(self, request: Request) -> Response:
        """Run the flow that `model` names; goes on with the conversation of `previous_response_id`."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(ResponsesBody, parse_object(content))
        if body.tools is not None:
            return reply(error_body("Tools are not supported yet", code="tools_not_supported"))
        try:
            prepared = await self._prepare(caller.tenant, body, header_variables(request))
            prepared = replace(prepared, trace=header_trace(request))
        except NotFoundError:
            return reply(error_body(f"Flow with id '{body.model}' not found", code="flow_not_found"))
        except InvalidRequestError as error:
            return reply(error_body(error.message, code="invalid_flow_request"))
        response = openai.Response(
            session=prepared.session,
            model=body.model,
            previous=body.previous_response_id,
            with_results=openai.TOOL_RESULTS in (body.include or ()),
        )
        headers = {RUN_HEADER: prepared.run}
        if body.stream:
            await self._services.may_run(caller.tenant)
            frames = self._frames(prepared, response, goes_on=not says_yes(request, CANCEL))
            return EventStream(commented(frames), headers=headers)
        outcome = await self._services.runs.execute(prepared)
        try:
            outcome.require_success(prepared)
        except FlowRayError as error:
            return reply(error_body(error.message, kind="processing_error"), headers=headers)
        return reply(response.whole(said(prepared, outcome)), headers=headers)

    async def _prepare(self, tenant: str, body: ResponsesBody, variables: dict[str, str]) -> RunRequest:
        order = RunOrder(
            input_value=body.input,
            session=body.previous_response_id or str(uuid.uuid4()),
            stream=body.stream,
            variables=variables,
        )
        prepared = await self._services.runs.prepare(tenant, body.model, order)
        _require_chat(prepared.flow)
        return prepared

    async def _frames(
        self, prepared: RunRequest, response: openai.Response, *, goes_on: bool
    ) -> AsyncGenerator[bytes, None]:
        spoken, outcome, told = Spoken(prepared.input_value or ""), Outcome(), set[str]()
        yield response.chunk({"content": ""})
        try:
            async with aclosing(self._services.runs.stream(prepared, goes_on=goes_on)) as events:
                async for recorded in events:
                    outcome.add(recorded)
                    if isinstance(recorded.event, MessageAdded) and isinstance(recorded.event.message, dict):
                        for frame in _new_calls(recorded.event.message, response, told):
                            yield frame
                    if text := spoken.add(recorded.event):
                        yield response.chunk({"content": text})
            outcome.require_success(prepared)
            last = response.end(spoken.usage)
        except FlowRayError as error:
            last = response.failure(error.message)
        except Exception:  # noqa: BLE001 - a stream has only its frames to say it with; the incident log has the rest
            last = response.failure(incident(f"run {prepared.run}")["detail"])
        for frame in last:
            yield frame


def _new_calls(message: dict[str, object], response: openai.Response, told: set[str]) -> list[bytes]:
    """The frames of calls that have come to their end since the last message."""
    frames: list[bytes] = []
    for call in tool_calls(message):
        signature = f"{call.name}:{call.input}"
        if call.name and (call.output is not None or call.error is not None) and signature not in told:
            told.add(signature)
            frames += response.call(call, len(told))
    return frames


def _require_chat(flow: Flow) -> None:
    components = {node.component for node in flow.nodes}
    for name in ("ChatInput", "ChatOutput"):
        if name not in components:
            raise InvalidRequestError(_NEEDS.format(name))
