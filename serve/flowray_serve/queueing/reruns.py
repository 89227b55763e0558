"""Running again from a node: a new run in the background, linked to the old one, with what that had finished."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowray.engine.accepted import Accepted, accepted_event
from flowray.engine.again import rerun_set, taken_over
from flowray.engine.events import Event, RunFinished, RunId
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.flow.carried import carried
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow, Json, NodeId
from flowray.stores.requests import Requests
from flowray_serve.library import LoadedFlow
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.accepted_journal import read_accepted


class RequestNotKeptError(NotFoundError):
    """The run is known, but what it was asked for was not kept."""

    code = "request_not_kept"


class NotRecordedRunError(ConflictError):
    """The run cannot be replayed: what it heard was not kept."""

    code = "run_not_recorded"


class RunNotOverError(ConflictError):
    """Only a run that is over can be run again."""

    code = "run_not_over"


class Reruns:
    """Starts runs from the middle of others."""

    def __init__(self, requests: Requests, acceptance: Acceptance, journal: Journal) -> None:
        self._requests = requests
        self._acceptance = acceptance
        self._journal = journal

    async def rerun(self, tenant: str, run: RunId, *, start: NodeId, values: Mapping[str, Json]) -> RunRequest:
        """The new run, accepted: from `start` on, with other values for fields of nodes that run again."""
        accepted = await self._kept(tenant, run)
        old = accepted.request
        again = rerun_set(old.plan, start)
        flow = _changed(old.flow, values, again)
        request = replace(old, run=RunId(str(uuid.uuid4())), flow=flow)
        recorded = [one async for one in self._journal.read(tenant, run)]
        first = replace(accepted_event(request), parent=run, from_node=start)
        await self._begin(accepted, request, [first, *taken_over(old.plan, recorded, again)])
        return request

    async def replay(
        self, tenant: str, run: RunId, *, loaded: LoadedFlow | None = None, ran: LoadedFlow | None = None
    ) -> RunRequest:
        """A new run of all of it, answered by what the old one heard: with its own flow, or with another version.

        `ran` is the version that the old one was a run of: what that run was given besides, the new one is given too.
        """
        accepted = await self._kept(tenant, run)
        old = accepted.request
        if not old.record:
            raise NotRecordedRunError(
                f"Run `{run[:80]}` was not recorded. Set `record` to true in the flow's `data.flowray` or for "
                "the tenant, and run it."
            )
        other = {}
        if loaded is not None:
            flow = loaded.flow if ran is None else carried(old.flow, ran.flow, loaded.flow)
            other = {"flow": flow, "plan": loaded.plan, "flow_id": loaded.id}
        request = replace(old, run=RunId(str(uuid.uuid4())), record=False, tape=run, egress=(), **other)  # type: ignore[arg-type] # they are what they are called
        await self._begin(accepted, request, [replace(accepted_event(request), parent=run)])
        return request

    async def _kept(self, tenant: str, run: RunId) -> Accepted:
        recorded = [one async for one in read_accepted(self._journal, self._requests, tenant, run)]
        if not recorded or not isinstance(recorded[-1].event, RunFinished):
            raise RunNotOverError(f"Run `{run}` is not over; stop it, or wait for its end.")
        accepted = await self._requests.find(tenant, run)
        if accepted is None:
            raise RequestNotKeptError(
                f"What run `{run[:80]}` was asked for was not kept. Background runs and failed runs keep it; for all "
                "others the operator sets FLOWRAY_GATEWAY__KEEP=all."
            )
        return accepted

    async def _begin(self, accepted: Accepted, request: RunRequest, history: Sequence[Event]) -> None:
        facts = {**accepted.facts, "mode": "background", "callback": None}
        await self._acceptance.accept(request, facts, begun=history)


def _changed(flow: Flow, values: Mapping[str, Json], again: frozenset[NodeId]) -> Flow:
    """Return the flow with other values: `node.field`, or a field of all nodes that run again and have it."""
    tweaks: dict[str, dict[str, Json]] = {}
    for name, value in values.items():
        key, dot, field = name.rpartition(".")
        named = [node for node in flow.nodes if key in (node.id, node.display_name)] if dot else flow.nodes
        meant = [node.id for node in named if node.id in again and field in node.fields]
        if not meant:
            raise InvalidRequestError(f"`{name[:80]}` is no field of a node that runs again.")
        for node in meant:
            tweaks.setdefault(node, {})[field] = value
    return tweak(flow, tweaks) if tweaks else flow
