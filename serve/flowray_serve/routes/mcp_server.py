"""The protocol's own server over flows as tools: what a request to the MCP routes needs, and no other."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from flowray.engine.events import NodeFinished
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.runner.flow_desk import naming
from flowray.stores.records import FlowRecord
from flowray_serve import mcp_tools
from flowray_serve.problems import incident
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services

_NAME = "langflow-mcp-server"  # what Langflow's clients expect to find
_SESSION_LENGTH = 256


class Tools:
    """The flows that one caller may call; `usual` is what all their runs are ordered with."""

    def __init__(
        self,
        services: Services,
        *,
        tenant: str,
        named: Mapping[str, FlowRecord],
        by_action: bool,
        version: str,
        usual: RunOrder,
    ) -> None:
        self._services = services
        self._tenant = tenant
        self._named = named
        self._by_action = by_action
        self._version = version
        self._usual = usual

    def server(self) -> Server[Any, Any]:
        """The protocol's server over these tools."""
        server: Server[Any, Any] = Server(_NAME, version=self._services.version)
        server.list_tools()(self.list)  # type: ignore[no-untyped-call]  # mcp leaves its decorators untyped
        server.call_tool(validate_input=False)(self._caller(server))
        return server

    async def list(self) -> list[types.Tool]:
        """The tools; a flow that cannot run now is none."""
        found = []
        for name, flow in self._named.items():
            try:
                loaded = await self._services.library.load(self._tenant, naming(flow, self._version))
            except FlowRayError:
                continue
            text = mcp_tools.description(flow, name, by_action=self._by_action)
            schema = mcp_tools.input_schema(loaded.flow)
            found.append(types.Tool(name=name, description=text, inputSchema=schema))
        return found

    def _caller(self, server: Server[Any, Any]) -> Any:
        async def call(name: str, arguments: dict[str, Any]) -> list[types.TextContent]:
            try:
                prepared = await self._prepare(name, dict(arguments))
                outcome = await self._run(server, prepared)
                outcome.require_success(prepared)
            except FlowRayError as error:
                raise ToolError(f"Error executing tool {name}: {error.message}") from error
            except Exception as error:
                raise ToolError(incident(f"mcp tool {name[:80]}")["detail"]) from error
            return [types.TextContent(type="text", text=text) for text in mcp_tools.texts(prepared, outcome)]

        return call

    async def _prepare(self, name: str, arguments: dict[str, Any]) -> RunRequest:
        flow = self._named.get(name)
        if flow is None:
            raise InvalidRequestError(f"Flow with name '{name[:80]}' not found")
        meant = naming(flow, self._version)
        session, said = arguments.pop("session_id", None), arguments.pop("input_value", None)
        if session is not None and (not isinstance(session, str) or len(session) > _SESSION_LENGTH):
            raise InvalidRequestError(f"`session_id` is a text of at most {_SESSION_LENGTH} characters.")
        session = session or str(uuid.uuid4())
        loaded = await self._services.library.load(self._tenant, meant, whom=session)
        order = replace(
            self._usual,
            input_value=None if said is None else str(said),
            session=session,
            tweaks=mcp_tools.tweaks(loaded.flow, arguments),
        )
        return await self._services.runs.prepare_loaded(self._tenant, loaded, order)

    async def _run(self, server: Server[Any, Any], prepared: RunRequest) -> Outcome:
        """Run to the end; a caller that wants to know how far it is, is told node by node."""
        context = server.request_context
        token = context.meta.progressToken if context.meta else None
        if token is None:
            return await self._services.runs.execute(prepared)
        outcome, total = Outcome(), float(len(prepared.flow.nodes))
        async with aclosing(self._services.runs.stream(prepared, goes_on=False)) as events:
            async for recorded in events:
                outcome.add(recorded)
                if isinstance(recorded.event, NodeFinished):
                    done = float(len(outcome.results))
                    await context.session.send_progress_notification(
                        token,
                        done,
                        total=total,
                        message=recorded.event.node,
                        related_request_id=str(context.request_id),
                    )
        return outcome


class ToolError(Exception):
    """What a caller is told of a tool that failed."""


class Conversation(Response):
    """One request's MCP conversation, as a response."""

    def __init__(self, server: Server[Any, Any], content: bytes) -> None:
        super().__init__()
        self._server = server
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it; it ends with the request."""
        transport = StreamableHTTPServerTransport(mcp_session_id=None)
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": self._content, "more_body": False}

        async def serve(*, task_status: TaskStatus[None]) -> None:
            async with transport.connect() as (incoming, outgoing):
                task_status.started()
                options = self._server.create_initialization_options()
                await self._server.run(incoming, outgoing, options, stateless=True)

        async with anyio.create_task_group() as tasks:
            await tasks.start(serve)
            try:
                await transport.handle_request(scope, again, send)
            finally:
                await transport.terminate()
                tasks.cancel_scope.cancel()
