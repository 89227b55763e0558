"""The editor's build of older clients: a run is started, and its events are followed by its id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.events import Recorded, RunAccepted, RunId
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, NotFoundError, StoreUnavailableError
from flowray.flow.types import Flow
from flowray.tenancy.permissions import Permission
from flowray.tenancy.principal import Principal
from flowray_serve.answers.past import BuildCancelled, BuildJob
from flowray_serve.auth import needs
from flowray_serve.bodies.editing import BuildBody
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object, takes
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.streams import EventStream
from flowray_serve.workflow_stream import plain_frames, plain_stream

_Delivery = Literal["polling", "streaming", "direct"]
_BEGIN_S, _ASK_AGAIN_S = 10.0, 0.005
_NDJSON = "application/x-ndjson"


class BuildStream(EventStream):
    """The events of a build, one JSON object and an empty line each."""

    media_type = _NDJSON


class BuildRoutes:
    """The handlers of `/api/v1/build`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._driving: set[asyncio.Task[Outcome]] = set()

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/build", tags=["editing"])
        router.add_api_route(
            "/{flow}/flow",
            self.start,
            methods=["POST"],
            openapi_extra=takes(BuildBody),
            responses=says(BuildJob, or_as=[BuildStream.media_type]),
        )
        router.add_api_route(
            "/{job}/events", self.events, methods=["GET"], responses=says_object(or_as=[BuildStream.media_type])
        )
        router.add_api_route("/{job}/cancel", self.cancel, methods=["POST"], responses=says(BuildCancelled))
        return router

    @needs(Permission.RUNS_START)
    async def start(
        self,
        request: Request,
        flow: UUID,
        start_component_id: Annotated[str | None, Query(max_length=256)] = None,
        stop_component_id: Annotated[str | None, Query(max_length=256)] = None,
        event_delivery: _Delivery = "polling",
    ) -> Response:
        """Run a flow; the answer names the job to follow. With `direct`, the answer is its events."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.flow_bytes)
        body = fit(BuildBody, parse_object(content))
        order = _order(body, header_variables(request), start=start_component_id, stop=stop_component_id)
        prepared = await self._prepare(caller, str(flow), body, replace(order, trace=header_trace(request)))
        headers = {RUN_HEADER: prepared.run}
        await self._services.may_run(caller.tenant)
        if event_delivery == "direct":
            events = self._services.runs.stream(prepared)
            return BuildStream(plain_stream(events, prepared.flow), headers=headers)
        await self._drive(prepared)
        return reply({"job_id": prepared.run}, headers=headers)

    @needs(Permission.RUNS_READ)
    async def events(self, request: Request, job: UUID, event_delivery: _Delivery = "streaming") -> Response:
        """A job's events: as they come, or when polled, those there are."""
        caller = await self._services.authenticator(request)
        run = RunId(str(job))
        flow = await self._flow_of(caller.tenant, run)
        follow = event_delivery != "polling"
        recorded = self._read(caller.tenant, run, follow=follow)
        if follow:
            return BuildStream(plain_stream(recorded, flow))
        return Response(b"".join([frame async for frame in plain_frames(recorded, flow)]), media_type=_NDJSON)

    @needs(Permission.RUNS_STOP)
    async def cancel(self, request: Request, job: UUID) -> Response:
        """Stop a job."""
        caller = await self._services.authenticator(request)
        run = RunId(str(job))
        if await self._services.runs.cancel(caller.tenant, run):
            return reply({"success": True, "message": "Flow build cancelled successfully"})
        await self._flow_of(caller.tenant, run)
        return reply({"success": False, "message": "Failed to cancel flow build: it is over, or driven elsewhere"})

    async def _prepare(self, caller: Principal, flow: str, body: BuildBody, order: RunOrder) -> RunRequest:
        if body.data is None:
            return await self._services.runs.prepare(caller.tenant, flow, order)
        sent = await self._services.library.sent(caller, flow, body.data)
        return await self._services.runs.prepare_loaded(caller.tenant, sent, order)

    async def _drive(self, prepared: RunRequest) -> None:
        """Run it whether or not anybody follows; on return, whoever wants to finds it in the journal."""
        task = asyncio.create_task(self._services.runs.execute(prepared), name=f"build {prepared.run}")
        self._driving.add(task)
        task.add_done_callback(self._driven)
        try:
            async with asyncio.timeout(_BEGIN_S):
                while not await self._is_begun(prepared, task):
                    await asyncio.wait({task}, timeout=_ASK_AGAIN_S)
        except TimeoutError as cause:
            task.cancel("Its journal did not take it.")
            raise StoreUnavailableError("The journal did not take the run; it was stopped. Ask again.") from cause

    def _driven(self, task: asyncio.Task[Outcome]) -> None:
        self._driving.discard(task)
        if not task.cancelled():
            task.exception()  # the journal says how it ended

    async def _is_begun(self, prepared: RunRequest, task: asyncio.Task[Outcome]) -> bool:
        is_over = task.done()
        if await self._is_known(prepared.tenant, prepared.run):
            return True
        if is_over:
            task.result()  # raises what it was refused for: no journal will say that
        return is_over

    async def _is_known(self, tenant: str, run: RunId) -> bool:
        try:
            await anext(aiter(self._services.journal.read(tenant, run)), None)
        except NotFoundError:
            return False
        return True

    async def _flow_of(self, tenant: str, run: RunId) -> Flow:
        """The flow that runs, as it is now; nodes of a canvas that was never saved are told of by id alone."""
        accepted = await self._accepted(tenant, run)
        try:
            return (await self._services.library.load(tenant, accepted.flow)).flow
        except FlowRayError:
            return Flow(name=accepted.flow_name, nodes=(), edges=(), id=accepted.flow)

    async def _accepted(self, tenant: str, run: RunId) -> RunAccepted:
        async with contextlib.aclosing(self._read(tenant, run, follow=True)) as events:
            async for recorded in events:
                if isinstance(recorded.event, RunAccepted):
                    return recorded.event
        raise NotFoundError(f"Job not found: {run}")

    async def _read(self, tenant: str, run: RunId, *, follow: bool) -> AsyncGenerator[Recorded, None]:
        try:
            async for recorded in self._services.jobs.read(tenant, run, follow=follow):
                yield recorded
        except NotFoundError as cause:
            raise NotFoundError(f"Job not found: {run}") from cause


def _order(body: BuildBody, variables: dict[str, str], *, start: str | None, stop: str | None) -> RunOrder:
    inputs = body.inputs
    return RunOrder(
        input_value=inputs.input_value if inputs else None,
        input_type=(inputs.type if inputs else None) or "any",
        output_type="any",
        session=inputs.session if inputs else None,
        stream=True,
        variables=variables,
        files=tuple(body.files or ()),
        start=start,
        stop=stop,
        from_entry=False,
    )
