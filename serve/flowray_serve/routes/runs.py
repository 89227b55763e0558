"""Runs: what a tenant has run, how far a run is, and its journal as it grows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.codec import encode, kind_of
from flowray.engine.differences import differences
from flowray.engine.events import RunAccepted, RunId
from flowray.errors import ConflictError, FlowRayError, InvalidRequestError
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import Job, RunDifferences, RunList, RunStory
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.run import ReplayBody, RerunBody
from flowray_serve.library import LoadedFlow, UnknownFlowError
from flowray_serve.queueing.jobs import job_answer
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says, takes
from flowray_serve.routes.resuming import SEQ_LIMIT, LastEventId
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.services import Services
from flowray_serve.streams import EventStream, commented, sse
from flowray_serve.timeline import Timeline, in_short, placed

_LISTED_LIMIT = 500


class RunsRoutes:
    """The handlers of `/api/v1/runs`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
        router.add_api_route("", self.list, methods=["GET"], responses=says(RunList))
        router.add_api_route("/{run}", self.read, methods=["GET"], responses=says(RunStory))
        router.add_api_route(
            "/{run}/events",
            self.events,
            methods=["GET"],
            response_class=Response,
            responses=gives(EventStream.media_type),
        )
        router.add_api_route("/{run}/cancel", self.cancel, methods=["POST"], responses=says(RunStory))
        router.add_api_route(
            "/{run}/rerun",
            self.rerun,
            methods=["POST"],
            status_code=202,
            openapi_extra=takes(RerunBody),
            responses=says(Job, status=202),
        )
        router.add_api_route(
            "/{run}/replay",
            self.replay,
            methods=["POST"],
            status_code=202,
            openapi_extra=takes(ReplayBody),
            responses=says(Job, status=202),
        )
        router.add_api_route("/{run}/differences", self.differences, methods=["GET"], responses=says(RunDifferences))
        return router

    @needs(Permission.RUNS_READ)
    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=_LISTED_LIMIT)] = 50,
        before: Annotated[float | None, Query(ge=0, description="Only those accepted before this time.")] = None,
    ) -> Response:
        """The tenant's latest runs, newest first. To go on, ask for those `before` the last one's `accepted_at`."""
        caller = await self._services.authenticator(request)
        runs = await self._services.run_index.runs(caller.tenant, limit=limit, before=before)
        return reply({"runs": [in_short(run) for run in runs]})

    @needs(Permission.RUNS_READ)
    async def read(self, request: Request, run: str) -> Response:
        """One run: its status, and when each node ran where."""
        caller = await self._services.authenticator(request)
        told = await self._story(caller.tenant, RunId(run))
        step_of = await self._step_of(caller.tenant, told["flow"])
        return reply(told | {"nodes": [placed(node, told["steps"], step_of) for node in told["nodes"]]})

    @needs(Permission.RUNS_READ)
    async def events(
        self,
        request: Request,
        run: str,
        after: Annotated[int, Query(ge=0, le=SEQ_LIMIT, description="Skip the events up to this seq.")] = 0,
        last_event_id: LastEventId = None,
    ) -> Response:
        """The run's journal as server-sent events, followed while it runs. `id` is the event's seq."""
        caller = await self._services.authenticator(request)
        seen = after if last_event_id is None else last_event_id
        await self._services.jobs.require_journal(caller.tenant, RunId(run))
        return EventStream(commented(self._frames(caller.tenant, RunId(run), seen)))

    @needs(Permission.RUNS_STOP)
    async def cancel(self, request: Request, run: str) -> Response:
        """Stop a run, and answer how it ended."""
        caller = await self._services.authenticator(request)
        stopping = self._services.jobs.stopping
        over = await stopping.over(caller.tenant, RunId(run))
        if over is not None:
            raise ConflictError(f"Run `{run}` cannot be stopped: it has {over}.")
        await stopping.stop(caller.tenant, RunId(run))
        return reply(await self._story(caller.tenant, RunId(run)))

    @needs(Permission.RUNS_START)
    async def rerun(self, request: Request, run: str) -> Response:
        """Run again from a node, in the background: what had finished before it is taken over. A new run."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(RerunBody, parse_object(content))
        reruns = self._services.jobs.reruns
        made = await reruns.rerun(caller.tenant, RunId(run), start=NodeId(body.start), values=body.values)
        job = job_answer(made.run, made.flow_id, "queued", parent={"run": run, "from_node": body.start})
        return reply(job, status=202, headers={RUN_HEADER: made.run})

    @needs(Permission.RUNS_START)
    async def replay(self, request: Request, run: str) -> Response:
        """Run again, in the background, with the HTTP answers that were recorded: a new run that reaches nobody."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(ReplayBody, parse_object(content))
        loaded = ran = None
        if body.flow is not None:
            loaded = await self._named(caller.tenant, RunId(run), body.flow)
            ran = await self._version_that_ran(caller.tenant, (await self._story(caller.tenant, RunId(run)))["flow"])
        made = await self._services.jobs.reruns.replay(caller.tenant, RunId(run), loaded=loaded, ran=ran)
        job = job_answer(made.run, made.flow_id, "queued", parent={"run": run})
        return reply(job, status=202, headers={RUN_HEADER: made.run})

    @needs(Permission.RUNS_READ)
    async def differences(
        self,
        request: Request,
        run: str,
        other: Annotated[
            str, Query(max_length=64, description="The other run; without it, the one this repeats.")
        ] = "",
    ) -> Response:
        """The nodes that came to something else in this run than in the other one, in this run's order."""
        caller = await self._services.authenticator(request)
        read = self._services.jobs.read
        now = [one async for one in read(caller.tenant, RunId(run))]
        accepted = now[0].event if now else None
        other = other or (accepted.parent if isinstance(accepted, RunAccepted) else "")
        if not other:
            raise InvalidRequestError("`other`: name the run to compare with; this one repeats none.")
        before = [one async for one in read(caller.tenant, RunId(other))]
        found = [{"node": one.node, "before": one.before, "now": one.now} for one in differences(before, now)]
        return reply({"run": run, "other": other, "differences": found})

    async def _named(self, tenant: str, run: RunId, name: str) -> LoadedFlow:
        """What is meant by a name beside a run: a flow, one of its versions behind an `@`, or a version of its own."""
        library = self._services.library
        try:
            return await library.load(tenant, name)
        except UnknownFlowError:
            told = await self._story(tenant, run)
            return await library.load(tenant, f"{told['flow']['id']}@{name}")

    async def _step_of(self, tenant: str, flow: Mapping[str, Any]) -> Mapping[NodeId, StepId]:
        """Which step ran which node, in the version that ran, while that is there."""
        ran = await self._version_that_ran(tenant, flow)
        return ran.plan.step_of if ran is not None else {}

    async def _version_that_ran(self, tenant: str, flow: Mapping[str, Any]) -> LoadedFlow | None:
        try:
            return await self._services.library.load(tenant, f"{flow['id']}@{flow['version']}")
        except FlowRayError:
            return None

    async def _story(self, tenant: str, run: RunId) -> dict[str, Any]:
        timeline = Timeline()
        async for recorded in self._services.jobs.read(tenant, run):
            timeline.add(recorded)
        return timeline.as_json()

    async def _frames(self, tenant: str, run: RunId, after: int) -> AsyncGenerator[bytes, None]:
        async for recorded in self._services.jobs.read(tenant, run, after=after, follow=True):
            yield sse(encode(recorded), seq=recorded.seq, event=kind_of(recorded.event))
