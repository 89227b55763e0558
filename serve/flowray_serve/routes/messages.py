"""Chat messages and sessions, in the shapes of Langflow's monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError, NotFoundError
from flowray.stores.chats import ORDERS, ChatMessage, Wanted, renamed
from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.bodies.editing import MessageChange
from flowray_serve.bodies.reading import fit, parse_json, parse_object, read_body
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object, takes, takes_ids, takes_names
from flowray_serve.services import Services

_IDS = TypeAdapter(list[UUID])
_NAMES = TypeAdapter(list[Annotated[str, Field(max_length=1_000)]])
_LISTED, _LISTED_LIMIT = 100, 1_000


class MessageFilter(BaseModel):
    """Which messages to list. The newest are taken first, then shown in the order asked for."""

    flow_id: UUID | None = None
    session_id: str | None = Field(None, max_length=1_000)
    sender: str | None = Field(None, max_length=256)
    sender_name: str | None = Field(None, max_length=256)
    order_by: str = Field("timestamp", description=f"One of {', '.join(sorted(ORDERS))}.")
    # No `Literal`: programs that write clients make one name of both spellings, and stop at it.
    order: str = Field("ASC", pattern="^(ASC|DESC|asc|desc)$")
    limit: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0, le=100_000)


class MessageRoutes:
    """The handlers of `/api/v1/monitor/messages`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._chats = services.chats

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/monitor/messages", tags=["monitor"])
        router.add_api_route("/sessions", self.sessions, methods=["GET"], responses=says(list[str]))
        router.add_api_route(
            "/sessions",
            self.delete_sessions,
            methods=["DELETE"],
            openapi_extra=takes_names(),
            responses=says_object(),
        )
        router.add_api_route("", self.list, methods=["GET"], responses=says(list[dict[str, Any]]))
        router.add_api_route("", self.delete, methods=["DELETE"], status_code=204, openapi_extra=takes_ids())
        router.add_api_route(
            "/{message}",
            self.change,
            methods=["PUT"],
            openapi_extra=takes(MessageChange),
            responses=says_object(),
        )
        router.add_api_route(
            "/session/{session}", self.rename_session, methods=["PATCH"], responses=says(list[dict[str, Any]])
        )
        router.add_api_route("/session/{session}", self.delete_session, methods=["DELETE"], status_code=204)
        return router

    @needs(Permission.RUNS_READ)
    async def sessions(
        self,
        request: Request,
        flow_id: UUID | None = None,
        limit: Annotated[int | None, Query(ge=0)] = None,
        offset: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        """The sessions that have messages, of one flow or of all."""
        caller = await self._services.authenticator(request)
        found = await self._chats.sessions(caller.tenant, flow=str(flow_id) if flow_id else None)
        first = offset or 0
        return reply(found[first : first + limit if limit else None])

    @needs(Permission.RUNS_READ)
    async def list(self, request: Request, wanted: Annotated[MessageFilter, Query()]) -> Response:
        """Messages, of one flow or session or of all."""
        caller = await self._services.authenticator(request)
        if wanted.order_by not in ORDERS:
            raise InvalidRequestError(f"`order_by`: messages are ordered by one of {', '.join(sorted(ORDERS))}.")
        first = wanted.offset or 0
        count = min(wanted.limit or _LISTED, _LISTED_LIMIT)
        newest = Wanted(
            flow=str(wanted.flow_id) if wanted.flow_id else None,
            session=wanted.session_id,
            sender=wanted.sender,
            sender_name=wanted.sender_name,
            errors=True,
            newest_first=True,
            limit=first + count,
        )
        window = (await self._chats.find(caller.tenant, newest))[first:]
        return reply([_shown(one) for one in _ordered(window, wanted)])

    @needs(Permission.CHATS_WRITE)
    async def delete(self, request: Request) -> Response:
        """Forget messages; ids that are not there are passed over."""
        caller = await self._services.authenticator(request)
        await self._chats.remove(caller.tenant, [str(one) for one in await self._sent(request, _IDS)])
        return Response(status_code=204)

    @needs(Permission.CHATS_WRITE)
    async def change(self, request: Request, message: UUID) -> Response:
        """Change what a message says."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        change = fit(MessageChange, parse_object(content))
        found = await self._chats.read(caller.tenant, str(message))
        if found is None:
            raise NotFoundError(f"Message not found: there is none with the id `{message}`.")
        body = {**found.body, **change.model_dump(exclude_unset=True, exclude_none=True), "edit": True}
        await self._chats.add(caller.tenant, [replace(found, body=body)])
        return reply({**body, "id": found.id, "flow_id": found.flow, "session_id": found.session})

    @needs(Permission.CHATS_WRITE)
    async def rename_session(
        self, request: Request, session: str, new_session_id: Annotated[str, Query(min_length=1, max_length=256)]
    ) -> Response:
        """Give a session another name."""
        caller = await self._services.authenticator(request)
        found = await self._chats.find(caller.tenant, Wanted(session=session, errors=True))
        if not found:
            raise NotFoundError("No messages found with the given session ID.")
        await self._chats.rename_session(caller.tenant, session, new_session_id)
        return reply([_shown(renamed(one, new_session_id)) for one in found])

    @needs(Permission.CHATS_WRITE)
    async def delete_session(self, request: Request, session: str) -> Response:
        """Forget what was said in a session; it may be gone already."""
        caller = await self._services.authenticator(request)
        await self._chats.remove_session(caller.tenant, session)
        return Response(status_code=204)

    @needs(Permission.CHATS_WRITE)
    async def delete_sessions(self, request: Request) -> Response:
        """Forget what was said in several sessions."""
        caller = await self._services.authenticator(request)
        names = dict.fromkeys(await self._sent(request, _NAMES))
        gone = [name for name in names if await self._chats.remove_session(caller.tenant, name)]
        told = f"Messages deleted successfully for {len(gone)} session{'s' * (len(gone) > 1)}"
        told = told if gone else "No sessions to delete"
        return reply({"message": told, "deleted_count": len(gone)})

    async def _sent(self, request: Request, model: TypeAdapter[Any]) -> Any:
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        try:
            return model.validate_python(parse_json(content or b"null"))
        except ValidationError as cause:
            raise InvalidRequestError("The body must be a JSON list: of ids, each a UUID, or of names.") from cause


def _ordered(window: tuple[ChatMessage, ...], wanted: MessageFilter) -> list[ChatMessage]:
    """The newest messages, in the order asked for."""
    found = list(reversed(window))
    if wanted.order_by != "timestamp":
        found.sort(key=lambda one: str(_shown(one).get(wanted.order_by) or ""))
    return found[::-1] if wanted.order.upper() == "DESC" else found


def _shown(message: ChatMessage) -> dict[str, Any]:
    """A message in the shape of Langflow's MessageResponse; it has a list of files as text."""
    body: Mapping[str, Any] = message.body
    kept = {name: body.get(name, default) for name, default in _FIELDS.items()}
    files = body.get("files") or []
    own = {"id": message.id, "flow_id": message.flow, "session_id": message.session}
    return {**kept, **own, "files": orjson.dumps(files).decode() if isinstance(files, list) else files}


_FIELDS: Mapping[str, Any] = {
    "timestamp": None,
    "sender": None,
    "sender_name": None,
    "context_id": "",
    "text": "",
    "edit": False,
    "duration": None,
    "properties": {},
    "category": "message",
    "content_blocks": [],
    "session_metadata": None,
}
