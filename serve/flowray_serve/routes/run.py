"""`POST /api/v1/run/{flow}`: run a flow and answer, or stream what it says, in Langflow's shapes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.events import MessageAdded, Token
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import Job, RunAnswer
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import read_body
from flowray_serve.bodies.run import RunBody, sent_run
from flowray_serve.fold import run_response
from flowray_serve.problems import document, incident
from flowray_serve.queueing.jobs import Wishes
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says, takes
from flowray_serve.routes.queries import CANCEL, described, says_yes
from flowray_serve.routes.variables import header_priority, header_trace, header_variables
from flowray_serve.routes.wishes import callback_of, idempotency_of, respond_async
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.streams import EventStream, langflow_frame

RUN_HEADER = "x-flowray-run"
_QUERY = described(stream="Stream it.", cancel_on_disconnect="Stop a streamed run when its reader goes away.")


class RunRoutes:
    """The handlers of `/api/v1/run`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["run"], route_class=DirectRoute)
        for path in ("/run/{flow}", "/run/session/{flow}"):
            router.add_api_route(
                path,
                self.run,
                methods=["POST"],
                openapi_extra=_QUERY | takes(RunBody),
                responses=says(RunAnswer, or_as=[EventStream.media_type]) | says(Job, status=202),
            )
        return router

    @needs(Permission.RUNS_START)
    async def run(self, request: Request, flow: str) -> Response:
        """Run a flow, by id or endpoint name. The header `x-flowray-run` of the answer names the run."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = await sent_run(request, content)
        order = _order(body, header_variables(request), stream=body.stream or says_yes(request, "stream"))
        order = replace(order, priority=header_priority(request), trace=header_trace(request))
        prepared = await self._services.runs.prepare(caller.tenant, flow, order)
        headers = {RUN_HEADER: prepared.run}
        if order.stream:
            await self._services.may_run(caller.tenant)
            return EventStream(self._frames(prepared, goes_on=not says_yes(request, CANCEL)), headers=headers)
        patience_s = respond_async(request)
        if patience_s is not None:
            return await self._accept(prepared, _wishes(request, flow, content), patience_s)
        outcome = await self._services.runs.execute(prepared, within_s=self._services.jobs.sync_s)
        outcome.require_success(prepared)
        return reply(run_response(prepared, outcome), headers=headers)

    async def _accept(self, prepared: RunRequest, wishes: Wishes, patience_s: float) -> Response:
        """Run it in the background; answer as if it were not when it is over in time, else with where to ask."""
        jobs = self._services.jobs
        taken = (await jobs.accept(prepared, wishes)).request
        headers = {RUN_HEADER: taken.run}
        within_s = min(patience_s, jobs.sync_s)
        outcome = await jobs.wait(taken.tenant, taken.run, within_s=within_s) if patience_s else None
        if outcome is None:
            job = await jobs.job(taken, is_new=taken.run == prepared.run and not patience_s)
            return reply(job, status=202, headers=headers)
        outcome.require_success(taken)
        return reply(run_response(taken, outcome), headers=headers)

    async def _frames(self, prepared: RunRequest, *, goes_on: bool) -> AsyncGenerator[bytes, None]:
        outcome = Outcome()
        events = self._services.runs.stream(prepared, goes_on=goes_on)
        try:
            async for recorded in events:
                outcome.add(recorded)
                match recorded.event:
                    case Token(text=text, message=message):
                        yield langflow_frame("token", {"chunk": text, "id": message})
                    case MessageAdded(message=message):
                        yield langflow_frame("add_message", message)
            outcome.require_success(prepared)
            yield langflow_frame("end", {"result": run_response(prepared, outcome)})
        except FlowRayError as error:
            yield langflow_frame("error", {"error": error.message, **document(error)})
        except Exception:  # noqa: BLE001 - a stream has only its frames to say it with; the incident log has the rest
            problem = incident(f"run {prepared.run}")
            yield langflow_frame("error", {"error": problem["detail"], **problem})
        finally:
            await events.aclose()


def _wishes(request: Request, flow: str, content: bytes) -> Wishes:
    return Wishes(mode="async", callback=callback_of(request), idempotency=idempotency_of(request, flow, content))


def _order(body: RunBody, variables: dict[str, str], *, stream: bool) -> RunOrder:
    return RunOrder(
        input_value=body.input_value,
        input_type=body.input_type,
        output_type=body.output_type,
        output_component=body.output_component or "",
        tweaks=body.tweaks or {},
        session=body.session_id,
        stream=stream,
        variables={**body.context.request_variables, **variables},
        context=body.context.model_extra or {},
    )
