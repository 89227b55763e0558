"""The application: all routes over one set of services, every error a problem document."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from flowray_serve.admission.rates import rated
from flowray_serve.auth import guarded
from flowray_serve.bounds import Bounds
from flowray_serve.cors import answer_pages
from flowray_serve.metrics.requests import Counted
from flowray_serve.problems import answer_with_problems
from flowray_serve.routes.about import AboutRoutes
from flowray_serve.routes.admin import AdminRoutes
from flowray_serve.routes.audit import AllAuditRoutes, AuditRoutes
from flowray_serve.routes.build import BuildRoutes
from flowray_serve.routes.catalogue import CatalogueRoutes
from flowray_serve.routes.completions import CompletionRoutes
from flowray_serve.routes.dead_letters import DeadLetterRoutes
from flowray_serve.routes.editing import EditingRoutes
from flowray_serve.routes.files import FileRoutes
from flowray_serve.routes.flow_bulk import FlowBulkRoutes
from flowray_serve.routes.flows import FlowRoutes
from flowray_serve.routes.jobs import JobRoutes
from flowray_serve.routes.keys import KeyRoutes
from flowray_serve.routes.mcp import McpRoutes
from flowray_serve.routes.messages import MessageRoutes
from flowray_serve.routes.metrics import MetricsRoutes
from flowray_serve.routes.monitor import MonitorRoutes
from flowray_serve.routes.openapi import describe
from flowray_serve.routes.own_files import OwnFileRoutes
from flowray_serve.routes.pauses import PauseRoutes
from flowray_serve.routes.preload import PreloadRoutes
from flowray_serve.routes.projects import FolderRoutes, ProjectRoutes
from flowray_serve.routes.responses import ResponsesRoutes
from flowray_serve.routes.run import RunRoutes
from flowray_serve.routes.run_advanced import AdvancedRunRoutes
from flowray_serve.routes.runs import RunsRoutes
from flowray_serve.routes.secrets import SecretRoutes
from flowray_serve.routes.session import SessionRoutes
from flowray_serve.routes.stored_variables import StoredVariableRoutes
from flowray_serve.routes.upkeep import UpkeepRoutes
from flowray_serve.routes.usage import UsageRoutes
from flowray_serve.routes.versions import VersionRoutes
from flowray_serve.routes.webhook import WebhookRoutes
from flowray_serve.routes.workflows import WorkflowRoutes
from flowray_serve.services import Services

_DESCRIPTION = "Runs Langflow flows on a Ray cluster, each step in a sandbox. Speaks Langflow's API."
# The busiest route first: routes are tried in order.
_ROUTES = (
    RunRoutes,
    WorkflowRoutes,
    PauseRoutes,
    JobRoutes,
    WebhookRoutes,
    DeadLetterRoutes,
    RunsRoutes,
    ResponsesRoutes,
    CompletionRoutes,
    McpRoutes,
    FlowBulkRoutes,
    VersionRoutes,
    FlowRoutes,
    ProjectRoutes,
    FolderRoutes,
    FileRoutes,
    OwnFileRoutes,
    KeyRoutes,
    AuditRoutes,
    UsageRoutes,
    StoredVariableRoutes,
    SessionRoutes,
    AdvancedRunRoutes,
    BuildRoutes,
    EditingRoutes,
    CatalogueRoutes,
    MonitorRoutes,
    MessageRoutes,
    MetricsRoutes,
    AboutRoutes,
)
_OPERATOR_ROUTES = (
    AdminRoutes,
    AllAuditRoutes,
    PreloadRoutes,
    UpkeepRoutes,
    SecretRoutes,
)


class Routes(Protocol):
    """Handlers of one kind."""

    def router(self) -> APIRouter:
        """Their routes."""


def build_app(services: Services, *, for_operators: bool = True, origins: Collection[str] = ()) -> FastAPI:
    """The FastAPI application over these services; without operators' routes when those have a port of their own.

    Pages of these origins may call it from a browser.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        # Sandboxes live on other nodes: they go on working for a gateway that is gone unless it stops its runs.
        await services.runs.close()

    app = FastAPIOffline(
        title="FlowRay", version=services.version, description=_DESCRIPTION, redoc_url=None, lifespan=lifespan
    )
    _with_routes(app, services, (*_ROUTES, *(_OPERATOR_ROUTES if for_operators else ())))
    answer_pages(app, origins)
    return app


def build_operator_app(services: Services) -> FastAPI:
    """The application that only operators speak to, at a port of its own."""
    app = FastAPIOffline(
        title="FlowRay for operators", version=services.version, description=_DESCRIPTION, redoc_url=None
    )
    return _with_routes(app, services, (*_OPERATOR_ROUTES, MetricsRoutes, AboutRoutes))


def _with_routes(app: FastAPI, services: Services, kinds: Sequence[Callable[[Services], Routes]]) -> FastAPI:
    answer_with_problems(app)
    app.add_middleware(Bounds, limits=services.head_limits)
    app.add_middleware(Counted, meter=services.meter)
    for routes in kinds:
        # Not `include_router`: it would make routes of its own, without the guard.
        for route in routes(services).router().routes:
            app.router.routes.append(guarded(rated(route, services.limiter), services.gate))
    describe(app)
    return app
