"""Paused runs in Langflow's words: `GET /api/v2/workflows/pending` and `POST /api/v2/workflows/{job_id}/resume`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.events import RunId
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import PendingPause, Resumed
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.workflow import ResumeBody
from flowray_serve.queueing.answering import Asked
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services

_SHOWN = ("request_id", "kind", "prompt")


class PauseRoutes:
    """The handlers of what paused runs ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v2/workflows", tags=["workflows"])
        router.add_api_route("/pending", self.pending, methods=["GET"], responses=says(list[PendingPause]))
        router.add_api_route(
            "/{job_id}/resume", self.resume, methods=["POST"], openapi_extra=takes(ResumeBody), responses=says(Resumed)
        )
        return router

    @needs(Permission.RUNS_READ)
    async def pending(
        self,
        request: Request,
        flow_id: Annotated[UUID | None, Query(description="Only runs of this flow.")] = None,
    ) -> Response:
        """What paused runs ask people, oldest first."""
        caller = await self._services.authenticator(request)
        wanted = None if flow_id is None else str(flow_id)
        asked = [_told(one) async for one in self._services.jobs.answering.pending(caller.tenant, wanted)]
        return reply(sorted(asked, key=lambda one: one["created_at"]))

    @needs(Permission.RUNS_START)
    async def resume(self, request: Request, job_id: str) -> Response:
        """Answer a paused run; the rest of it then runs. An answer that comes too late or twice gets 409."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(ResumeBody, parse_object(content))
        answering = self._services.jobs.answering
        decision = body.decision or {}
        await answering.answer(caller.tenant, RunId(job_id), request_id=body.request_id, decision=decision)
        return reply({"job_id": job_id, "status": "resuming", "message": "Resume accepted"})


def _told(asked: Asked) -> dict[str, Any]:
    request = asked.accepted.request
    return {
        "job_id": request.run,
        "flow_id": request.flow_id,
        "session_id": request.session,
        "created_at": datetime.fromtimestamp(asked.accepted.at, UTC).isoformat(),
        **{name: asked.request.get(name) for name in _SHOWN},
        "options": asked.request.get("options") or [],
        "allowed_decisions": asked.request.get("allowed_decisions") or [],
        "node": asked.node,
    }
