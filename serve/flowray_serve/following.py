"""Runs to follow in Langflow's words: those in the background, and streams whose reader comes back."""

from __future__ import annotations

from dataclasses import dataclass

from flowray.engine.events import RunAccepted, RunId
from flowray.errors import ConflictError, FlowInvalidError, NotFoundError
from flowray.flow.types import Flow
from flowray_serve.bodies.workflow import WorkflowBody, blank_body
from flowray_serve.services import Services


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A run, and the flow whose nodes its events speak of. `wanted` says how they are framed."""

    tenant: str
    run: RunId
    session: str
    flow: Flow
    wanted: WorkflowBody


@dataclass(frozen=True, kw_only=True)
class Framing:
    """What the reader asks for; a run in the background has kept what was asked for at its start."""

    protocol: str | None = None
    expose_graph_state: bool | None = None


async def followed(services: Services, tenant: str, run: str, asked: Framing) -> Followed:
    """The run to follow. `ConflictError` when nobody knows any more what its flow looked like.

    `StoreForgotError` when its journal is not back from the record yet.
    """
    try:
        accepted = await services.jobs.find(tenant, run)
    except NotFoundError:
        return await _streamed(services, tenant, RunId(run), asked)
    request, facts = accepted.request, accepted.facts
    await services.jobs.require_journal(tenant, request.run)
    exposed = asked.expose_graph_state
    wanted = blank_body(
        protocol=asked.protocol or facts.get("protocol") or "langflow",
        expose_graph_state=facts.get("expose_graph_state") if exposed is None else exposed,
    )
    return Followed(tenant=tenant, run=request.run, session=request.session, flow=request.flow, wanted=wanted)


async def _streamed(services: Services, tenant: str, run: RunId, asked: Framing) -> Followed:
    """Nothing was kept of it but its journal, which names the flow and its version: that one, whatever it is now."""
    first = await anext(aiter(services.journal.read(tenant, run)), None)
    accepted = None if first is None else first.event
    if not isinstance(accepted, RunAccepted):
        raise NotFoundError(f"There is no run `{run[:80]}`.")
    try:
        loaded = await services.library.load(tenant, f"{accepted.flow}@{accepted.version}")
    except (NotFoundError, FlowInvalidError) as cause:
        raise _not_kept(run) from cause
    wanted = blank_body(protocol=asked.protocol or "langflow", expose_graph_state=asked.expose_graph_state)
    return Followed(tenant=tenant, run=run, session=accepted.session, flow=loaded.flow, wanted=wanted)


def _not_kept(run: RunId) -> ConflictError:
    return ConflictError(
        f"The version that run `{run}` ran is not kept any more, or was a canvas that was not saved: its events can be "
        f"read as they were recorded, at /api/v1/runs/{run}/events."
    )
