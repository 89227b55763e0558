"""`POST /api/v2/workflows`: run a flow and answer in one piece, stream it, or run it in the background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.failures import RunFailedError
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray.tenancy.principal import Principal
from flowray_serve.answers.run import Job, WorkflowAnswer
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.workflow import WorkflowBody
from flowray_serve.queueing.jobs import Wishes
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says, takes
from flowray_serve.routes.queries import CANCEL, described, says_yes
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_priority, header_trace, header_variables
from flowray_serve.routes.wishes import callback_of, idempotency_of, respond_async
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.streams import EventStream, commented
from flowray_serve.workflow_answer import created, failed, succeeded, suspended, terminal_nodes
from flowray_serve.workflow_stream import adapter_for, frames

_QUERY = described(cancel_on_disconnect="Stop a streamed run when its reader goes away.")


class UnknownOutputError(InvalidRequestError):
    """`output_ids` names something that is no output of the flow."""

    code = "unknown_output_ids"


class WorkflowRoutes:
    """The handlers of `/api/v2/workflows`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v2", tags=["workflows"], route_class=DirectRoute)
        router.add_api_route(
            "/workflows",
            self.run,
            methods=["POST"],
            openapi_extra=_QUERY | takes(WorkflowBody),
            responses=says(WorkflowAnswer, or_as=[EventStream.media_type]) | says(Job, status=202),
        )
        return router

    @needs(Permission.RUNS_START)
    async def run(self, request: Request) -> Response:
        """Run a flow. A component's failure is in the body of a 200 answer, as this API has it."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.flow_bytes)
        body = fit(WorkflowBody, parse_object(content))
        patience_s = 0.0 if body.mode == "background" else respond_async(request)
        _check_mode(body, patience_s)
        prepared = await self._prepare(caller, body, header_variables(request))
        prepared = replace(prepared, priority=header_priority(request), trace=header_trace(request))
        _check_output_ids(prepared, body)
        headers = {RUN_HEADER: prepared.run}
        if body.mode != "stream" and patience_s is not None:
            return await self._accept(prepared, body, _wishes(request, body, content, prepared), patience_s)
        if body.mode == "stream":
            await self._services.may_run(caller.tenant)
            adapter = adapter_for(body, prepared)
            events = self._services.runs.stream(prepared, goes_on=not says_yes(request, CANCEL))
            return EventStream(commented(frames(events, adapter, prepared)), headers=headers)
        return await self._answer(prepared, body, headers)

    async def _accept(self, prepared: RunRequest, body: WorkflowBody, wishes: Wishes, patience_s: float) -> Response:
        """Run it in the background; answer with its outcome when it is over in time, else with where to ask."""
        jobs = self._services.jobs
        accepted = await jobs.accept(prepared, wishes)
        taken = accepted.request
        outcome = None
        if patience_s:
            outcome = await jobs.wait(taken.tenant, taken.run, within_s=min(patience_s, jobs.sync_s))
        if outcome is not None:
            return self._told(taken, outcome, body, {RUN_HEADER: taken.run})
        is_new = taken.run == prepared.run and not patience_s
        job = await jobs.job(taken, is_new=is_new, created_timestamp=created(accepted.at))
        return reply(job, status=202, headers={RUN_HEADER: taken.run})

    async def _answer(self, prepared: RunRequest, body: WorkflowBody, headers: Mapping[str, str]) -> Response:
        outcome = await self._services.runs.execute(prepared, within_s=self._services.jobs.sync_s)
        return self._told(prepared, outcome, body, headers)

    def _told(self, prepared: RunRequest, outcome: Outcome, body: WorkflowBody, headers: Mapping[str, str]) -> Response:
        if outcome.paused is not None:
            return reply(suspended(prepared, outcome, outcome.paused, body), headers=headers)
        try:
            outcome.require_success(prepared)
        except RunFailedError as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return reply(failed(prepared, outcome, error, body), headers=headers)
        return reply(succeeded(prepared, outcome, body), headers=headers)

    async def _prepare(self, caller: Principal, body: WorkflowBody, variables: dict[str, str]) -> RunRequest:
        order = RunOrder(
            input_value=body.input_value or None,
            output_type="any",
            tweaks=body.tweaks,
            session=body.session_id,
            stream=body.mode != "sync",  # whoever follows a run in the background hears it speak, too
            variables={**variables, **body.globals},
            files=tuple(body.files or ()),
            start=body.start_component_id,
            stop=body.stop_component_id,
            from_entry=body.mode == "sync",
        )
        flow_id = str(body.flow_id)
        if body.data is None:
            return await self._services.runs.prepare(caller.tenant, flow_id, order)
        sent = await self._services.library.sent(caller, flow_id, body.data)
        return await self._services.runs.prepare_loaded(caller.tenant, sent, order)


def _wishes(request: Request, body: WorkflowBody, content: bytes, prepared: RunRequest) -> Wishes:
    adapter_for(body, prepared)  # raises now when nobody frames this protocol
    return Wishes(
        protocol=body.stream_protocol,
        expose_graph_state=body.expose_graph_state,
        output_ids=body.output_ids,
        callback=callback_of(request, url=body.callback_url),
        idempotency=idempotency_of(request, content, key=body.idempotency_key),
    )


def _check_mode(body: WorkflowBody, patience_s: float | None) -> None:
    """Refuse a callback that would never come. A key is passed over, as Langflow has it."""
    if body.callback_url and (body.mode == "stream" or patience_s is None):
        raise InvalidRequestError(
            '`callback_url` is for a run in the background: send `"mode": "background"` with it, or leave it out.'
        )


def _check_output_ids(prepared: RunRequest, body: WorkflowBody) -> None:
    known = [node.id for node in terminal_nodes(prepared.flow)]
    unknown = [wanted for wanted in body.output_ids or () if wanted not in known]
    if unknown:
        available = ", ".join(f"`{node}`" for node in known)
        raise UnknownOutputError(f"`output_ids`: {unknown[0][:80]!r} is no output of this flow; those are {available}.")
