"""`/v1/chat/completions` and `/v1/models`: flows as the models of any client that speaks OpenAI's chat API."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.stores.chats import ChatMessage
from flowray.stores.records import FlowRecord
from flowray.tenancy.permissions import Permission
from flowray_serve import openai_answer as openai
from flowray_serve.answers.service import Model, ModelList
from flowray_serve.auth import needs
from flowray_serve.bodies.openai import ChatCompletionBody, ChatMessageBody
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.openai_error import error_of
from flowray_serve.problems import document, incident
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says, says_object, takes
from flowray_serve.routes.queries import CANCEL, described, says_yes
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.spoken import Spoken, said
from flowray_serve.streams import EventStream, commented

_QUERY = described(cancel_on_disconnect="Stop a streamed run when its reader goes away.")
_SPEAKERS = {"user": ("User", "User"), "assistant": ("Machine", "AI")}


class CompletionRoutes:
    """The handlers of `/v1`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/v1", tags=["openai"], route_class=DirectRoute)
        extra = _QUERY | takes(ChatCompletionBody)
        router.add_api_route(
            "/chat/completions",
            self.complete,
            methods=["POST"],
            openapi_extra=extra,
            responses=says_object(or_as=[EventStream.media_type]),
        )
        router.add_api_route("/models", self.models, methods=["GET"], responses=says(ModelList))
        router.add_api_route("/models/{model}", self.model, methods=["GET"], responses=says(Model))
        return router

    @needs(Permission.RUNS_START)
    async def complete(self, request: Request) -> Response:
        """Run the flow that `model` names on the last user message; those before it are its chat memory."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(ChatCompletionBody, parse_object(content))
        if body.tools:
            raise InvalidRequestError("`tools`: a flow calls its own tools; those of a caller are not supported.")
        prepared = await self._prepare(caller.tenant, body, header_variables(request))
        prepared = replace(prepared, trace=header_trace(request))
        completion = openai.Completion(run=prepared.run, model=body.model)
        headers = {RUN_HEADER: prepared.run}
        if body.stream:
            frames = self._frames(prepared, completion, body, goes_on=not says_yes(request, CANCEL))
            return EventStream(commented(frames), headers=headers)
        outcome = await self._services.runs.execute(prepared)
        outcome.require_success(prepared)
        return reply(completion.whole(said(prepared, outcome)), headers=headers)

    @needs(Permission.FLOWS_READ)
    async def models(self, request: Request) -> Response:
        """The tenant's flows."""
        caller = await self._services.authenticator(request)
        flows = await self._services.store.list(caller.tenant)
        models = [_model(caller.tenant, flow) for flow in flows if not flow.document.get("is_component")]
        return reply({"object": "list", "data": models})

    @needs(Permission.FLOWS_READ)
    async def model(self, request: Request, model: str) -> Response:
        """One flow."""
        caller = await self._services.authenticator(request)
        return reply(_model(caller.tenant, await self._services.library.read(caller.tenant, model)))

    async def _prepare(self, tenant: str, body: ChatCompletionBody, variables: dict[str, str]) -> RunRequest:
        asked = [number for number, message in enumerate(body.messages) if message.role == "user"]
        if not asked:
            raise InvalidRequestError("`messages`: there is no message with the role `user`.")
        session = body.session_id or str(uuid.uuid4())
        order = RunOrder(
            input_value=body.messages[asked[-1]].text, session=session, stream=body.stream, variables=variables
        )
        prepared = await self._services.runs.prepare(tenant, body.model, order)
        await self._services.may_run(tenant)  # before anything is kept of what was said
        if not body.session_id:
            earlier = _remembered(prepared, body.messages[: asked[-1]])
            await self._services.chats.add(tenant, list(earlier))
        return prepared

    async def _frames(
        self, prepared: RunRequest, completion: openai.Completion, body: ChatCompletionBody, *, goes_on: bool
    ) -> AsyncGenerator[bytes, None]:
        spoken, outcome = Spoken(prepared.input_value or ""), Outcome()
        yield completion.opening()
        try:
            async with aclosing(self._services.runs.stream(prepared, goes_on=goes_on)) as events:
                async for recorded in events:
                    outcome.add(recorded)
                    if text := spoken.add(recorded.event):
                        yield completion.piece(text)
            outcome.require_success(prepared)
        except FlowRayError as error:
            yield openai.framed(error_of(document(error)))
            return
        except Exception:  # noqa: BLE001 - a stream has only its frames to say it with; the incident log has the rest
            yield openai.framed(error_of(incident(f"run {prepared.run}")))
            return
        for frame in completion.end(spoken.usage, tell_usage=body.stream_options.include_usage):
            yield frame


def _remembered(prepared: RunRequest, messages: Sequence[ChatMessageBody]) -> Iterator[ChatMessage]:
    """What was said before, as the memory of this run's session; other roles have no place there."""
    spoken = [message for message in messages if message.role in _SPEAKERS and message.text]
    now = datetime.now(UTC)
    for number, message in enumerate(spoken):
        at = now - timedelta(milliseconds=len(spoken) - number)
        sender, sender_name = _SPEAKERS[message.role]
        name = str(uuid.uuid4())
        body = {
            "id": name,
            "flow_id": prepared.flow_id,
            "session_id": prepared.session,
            "run_id": prepared.run,
            "timestamp": f"{at:%Y-%m-%d %H:%M:%S.%f} UTC",
            "sender": sender,
            "sender_name": sender_name,
            "text": message.text,
            "files": [],
            "error": False,
            "edit": False,
            "category": "message",
            "properties": {},
            "content_blocks": [],
            "context_id": "",
            "session_metadata": None,
        }
        yield ChatMessage(id=name, flow=prepared.flow_id, session=prepared.session, at=at.timestamp(), body=body)


def _model(tenant: str, flow: FlowRecord) -> Model:
    written = str(flow.document.get("updated_at") or "")
    try:
        created = int(datetime.fromisoformat(written).timestamp())
    except ValueError:
        created = 0
    return {"id": flow.endpoint_name or flow.id, "object": "model", "created": created, "owned_by": tenant}
