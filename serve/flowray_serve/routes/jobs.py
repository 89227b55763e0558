"""Background runs in Langflow's words: `GET /api/v2/workflows?job_id=`, their events, and `POST .../stop`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, WebSocket
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from flowray.engine.accepted import Accepted
from flowray.engine.codec import encode
from flowray.engine.events import RunFinished, RunId
from flowray.engine.failures import RunFailedError
from flowray.engine.leasing import StoreForgotError
from flowray.engine.outcome import Outcome
from flowray.errors import FlowRayError, InvalidRequestError, NotFoundError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import Job, JobSaid, WorkflowAnswer
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.workflow import StopBody, blank_body
from flowray_serve.following import Framing, followed
from flowray_serve.problems import document
from flowray_serve.queueing.jobs import STATUSES, job_answer
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says, takes
from flowray_serve.routes.resuming import SEQ_LIMIT, LastEventId
from flowray_serve.services import Services
from flowray_serve.streams import EventStream, commented
from flowray_serve.timeline import Timeline
from flowray_serve.workflow_answer import asked, succeeded
from flowray_serve.workflow_stream import adapter_for, frames_after

_STOP_LIMIT_BYTES = 4_096
_REASON_BYTES = 123


class JobFailedError(RunFailedError):
    """The background run that was asked after has failed."""

    code = "job_failed"


class JobRoutes:
    """The handlers of background runs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["workflows"])
        router.add_api_route("/api/v2/workflows", self.status, methods=["GET"], responses=says(WorkflowAnswer | Job))
        router.add_api_route(
            "/api/v2/workflows/stop",
            self.stop,
            methods=["POST"],
            openapi_extra=takes(StopBody),
            responses=says(JobSaid),
        )
        router.add_api_route(
            "/api/v2/workflows/{job_id}/events",
            self.events,
            methods=["GET"],
            response_class=Response,
            responses=gives(EventStream.media_type),
        )
        router.add_api_websocket_route("/api/v1/runs/{run}/ws", self.journal)
        return router

    @needs(Permission.RUNS_READ)
    async def status(self, request: Request, job_id: Annotated[str, Query(max_length=255)] = "") -> Response:
        """How far a background run is; once it is over, its answer."""
        caller = await self._services.authenticator(request)
        if not job_id:
            raise InvalidRequestError("`job_id` must be given.")
        accepted = await self._services.jobs.find(caller.tenant, job_id)
        timeline, outcome = Timeline(), Outcome()
        # One whose journal the record will bring back is queued again with it: it waits.
        with suppress(StoreForgotError):
            async for one in self._services.jobs.told(caller.tenant, accepted.request.run):
                timeline.add(one)
                outcome.add(one)
        return _told(accepted, outcome, timeline.as_json()["status"])

    @needs(Permission.RUNS_STOP)
    async def stop(self, request: Request) -> Response:
        """Stop a background run, whoever drives it, and answer once it has stopped."""
        caller = await self._services.authenticator(request)
        body = fit(StopBody, parse_object(await read_body(request, limit_bytes=_STOP_LIMIT_BYTES)))
        run = RunId(str(body.job_id))
        await self._services.jobs.find(caller.tenant, run)
        stopping = self._services.jobs.stopping
        over = await stopping.over(caller.tenant, run)
        if over is not None:
            return reply({"job_id": run, "message": f"Job {run} already finished ({STATUSES[over]})."})
        status = await stopping.stop(caller.tenant, run)
        said = "cancelled successfully" if status == "cancelled" else f"already finished ({STATUSES[status]})"
        return reply({"job_id": run, "message": f"Job {run} {said}."})

    @needs(Permission.RUNS_READ)
    async def events(
        self,
        request: Request,
        job_id: UUID,
        last_event_id: LastEventId = None,
        stream_protocol: Annotated[
            str | None, Query(max_length=80, description="Unset: the one that a background run was started with.")
        ] = None,
        expose_graph_state: Annotated[bool | None, Query(description="As when it was started.")] = None,
    ) -> Response:
        """What a run says, in the background or as a stream that broke, from the event after `Last-Event-ID` on."""
        caller = await self._services.authenticator(request)
        asked = Framing(protocol=stream_protocol, expose_graph_state=expose_graph_state)
        run = await followed(self._services, caller.tenant, str(job_id), asked)
        told = self._services.jobs.told(run.tenant, run.run, follow=True)
        return EventStream(commented(frames_after(told, adapter_for(run.wanted, run), run.flow, after=last_event_id)))

    @needs(Permission.RUNS_READ)
    async def journal(self, websocket: WebSocket, run: str) -> None:
        """A run's journal over a WebSocket: one JSON event per message, followed to the end; `after` skips."""
        caller = await self._services.authenticator(websocket)
        after = websocket.query_params.get("after", "0")
        await websocket.accept()
        telling = asyncio.create_task(self._tell(websocket, caller.tenant, RunId(run), after), name=f"journal of {run}")
        leaving = asyncio.create_task(_left(websocket), name=f"reader of {run}")
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            leaving.cancel()
            await asyncio.wait({telling, leaving})
        if not telling.cancelled():
            telling.result()

    async def _tell(self, websocket: WebSocket, tenant: str, run: RunId, after: str) -> None:
        """Send the journal to its end, then close the socket."""
        try:
            async for one in self._services.jobs.read(tenant, run, after=_seq(after), follow=True):
                await websocket.send_text(encode(one).decode())
            await websocket.close()
        except (InvalidRequestError, NotFoundError) as error:
            await websocket.close(1008, _reason(error))
        except FlowRayError as error:
            await websocket.close(1011, _reason(error))
        except WebSocketDisconnect:
            return


async def _left(websocket: WebSocket) -> None:
    """Wait until the client has gone; what it says is for nobody."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _reason(error: FlowRayError) -> str:
    """As much of what went wrong as the frame that closes a socket takes."""
    return error.message.encode()[:_REASON_BYTES].decode(errors="ignore")


def _seq(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < len(str(SEQ_LIMIT)):
        return int(text)
    raise InvalidRequestError("`after` is the number of an event: 0 or more.")


def _told(accepted: Accepted, outcome: Outcome, status: str) -> Response:
    request, finished = accepted.request, outcome.finished
    match finished:
        case RunFinished(status="succeeded"):
            wanted = blank_body(output_ids=accepted.facts.get("output_ids"))
            return reply(succeeded(request, outcome, wanted))
        case RunFinished(status="failed"):
            raise _failed(accepted, outcome)
        case _:
            waits = {} if outcome.paused is None else {"human_request": asked(outcome.paused)}
            return reply(job_answer(request.run, request.flow_id, STATUSES[status], **waits))


def _failed(accepted: Accepted, outcome: Outcome) -> JobFailedError:
    try:
        outcome.require_success(accepted.request)
    except RunFailedError as error:
        facts = {"job_id": error.run, "error_detail": document(error)}
        return JobFailedError(f"Job {error.run} has failed execution: {error.message}", error.run, facts)
    return JobFailedError("The job has failed execution.", accepted.request.run)
