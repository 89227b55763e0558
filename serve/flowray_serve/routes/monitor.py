"""What ran, in the shapes of Langflow's monitor: builds, transactions and traces, folded from journals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.summary import RunSummary
from flowray.errors import NotFoundError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.past import BuildList, JobQueue, TraceList, TraceWhole, TransactionPage
from flowray_serve.auth import needs
from flowray_serve.bodies.times import seconds
from flowray_serve.flow_answer import page
from flowray_serve.history import History, trace, transactions, vertex_builds, whole_trace
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says
from flowray_serve.services import Services

_BUILDS_OF_RUNS = 20
_TRANSACTIONS_OF_RUNS = 200
_STATUSES = {"ok": {"succeeded"}, "error": {"failed", "cancelled"}, "unset": {"running", "paused"}}


class TraceFilter(BaseModel):
    """Which traces to list; times are those of the start."""

    flow_id: UUID | None = None
    session_id: str | None = Field(None, max_length=256)
    status: Literal["ok", "error", "unset"] | None = None
    query: str | None = Field(None, max_length=256, description="A part of the flow's name, the run or the session.")
    start_time: datetime | None = None
    end_time: datetime | None = None
    page: int = Field(1, ge=0, le=10_000)
    size: int = Field(50, ge=1, le=200)

    def fits(self, run: RunSummary) -> bool:
        """Whether a run is among those asked for."""
        return (
            (self.flow_id is None or run.flow == str(self.flow_id))
            and self.session_id in (None, run.session)
            and (self.status is None or run.status in _STATUSES[self.status])
            and (self.start_time is None or run.accepted_at >= seconds(self.start_time))
            and (self.end_time is None or run.accepted_at <= seconds(self.end_time))
            and (not self.query or any(self.query in text for text in (run.flow_name, run.run, run.session)))
        )


class MonitorRoutes:
    """The handlers of `/api/v1/monitor` that are about runs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._history = History(journal=services.journal, index=services.run_index)

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/monitor", tags=["monitor"])
        router.add_api_route("/builds", self.builds, methods=["GET"], responses=says(BuildList))
        router.add_api_route("/transactions", self.transactions, methods=["GET"], responses=says(TransactionPage))
        router.add_api_route("/traces", self.traces, methods=["GET"], responses=says(TraceList))
        router.add_api_route("/traces/{run}", self.trace, methods=["GET"], responses=says(TraceWhole))
        router.add_api_route("/job_queue", self.job_queue, methods=["GET"], responses=says(JobQueue))
        return router

    @needs(Permission.RUNS_READ)
    async def builds(self, request: Request, flow_id: UUID) -> Response:
        """The latest build of each node of a flow."""
        caller = await self._services.authenticator(request)
        runs = await self._history.runs(caller.tenant, _of(flow_id))
        return reply(
            {"vertex_builds": vertex_builds(await self._history.stories(caller.tenant, runs[:_BUILDS_OF_RUNS]))}
        )

    @needs(Permission.RUNS_READ)
    async def transactions(
        self,
        request: Request,
        flow_id: UUID,
        number: Annotated[int, Query(alias="page", ge=1, le=10_000)] = 1,
        size: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Response:
        """What came out of a flow's nodes in its latest runs, newest first."""
        caller = await self._services.authenticator(request)
        runs = await self._history.runs(caller.tenant, _of(flow_id))
        found = transactions(await self._history.stories(caller.tenant, runs[:_TRANSACTIONS_OF_RUNS]))
        items = found[(number - 1) * size : number * size]
        return reply(page(items, number=number, size=size, total=len(found)))

    @needs(Permission.RUNS_READ)
    async def traces(self, request: Request, wanted: Annotated[TraceFilter, Query()]) -> Response:
        """The latest runs, as traces."""
        caller = await self._services.authenticator(request)
        runs = await self._history.runs(caller.tenant, wanted.fits)
        first = (max(wanted.page, 1) - 1) * wanted.size
        stories = await self._history.stories(caller.tenant, runs[first : first + wanted.size])
        return reply(
            {"traces": [trace(one) for one in stories], "total": len(runs), "pages": -(-len(runs) // wanted.size)}
        )

    @needs(Permission.RUNS_READ)
    async def trace(self, request: Request, run: UUID) -> Response:
        """One run with a span for each of its nodes."""
        caller = await self._services.authenticator(request)
        runs = await self._history.runs(caller.tenant, lambda one: one.run == str(run))
        stories = await self._history.stories(caller.tenant, runs[:1])
        if not stories:
            raise NotFoundError(f"Trace not found: none of the latest runs is `{run}`.")
        return reply(whole_trace(stories[0]))

    @needs(Permission.RUNS_READ)
    async def job_queue(self, request: Request) -> Response:
        """How many of the tenant's runs are under way."""
        caller = await self._services.authenticator(request)
        running = await self._history.runs(caller.tenant, lambda one: one.status == "running")
        return reply({"backend": "redis", "active_jobs": len(running)})


def _of(flow: UUID) -> Callable[[RunSummary], bool]:
    return lambda run: run.flow == str(flow)
