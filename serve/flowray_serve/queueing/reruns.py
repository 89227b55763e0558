"""Running again from a node: a new run in the background, linked to the old one, with what that had finished."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from flowray.engine.accepted import Accepted, accepted_event
from flowray.engine.again import rerun_set, taken_over
from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.leasing import Queue
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow, Json, NodeId
from flowray.stores.requests import Requests


class RequestNotKeptError(NotFoundError):
    """The run is known, but what it was asked for was not kept."""

    code = "request_not_kept"


class RunNotOverError(ConflictError):
    """Only a run that is over can be run again."""

    code = "run_not_over"


class Reruns:
    """Starts runs from the middle of others."""

    def __init__(
        self, requests: Requests, queue: Queue, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._requests = requests
        self._queue = queue
        self._journal = journal
        self._clock = clock

    async def rerun(self, tenant: str, run: RunId, *, start: NodeId, values: Mapping[str, Json]) -> RunRequest:
        """The new run, accepted: from `start` on, with other values for fields of nodes that run again."""
        recorded = [one async for one in self._journal.read(tenant, run)]
        if not recorded or not isinstance(recorded[-1].event, RunFinished):
            raise RunNotOverError(f"Run `{run}` is not over; stop it, or wait for its end.")
        accepted = await self._requests.find(tenant, run)
        if accepted is None:
            raise RequestNotKeptError(
                f"What run `{run[:80]}` was asked for was not kept. Background runs and failed runs keep it; for all "
                "others the operator sets FLOWRAY_GATEWAY__KEEP=all."
            )
        old = accepted.request
        again = rerun_set(old.plan, start)
        flow = _changed(old.flow, values, again)
        request = replace(old, run=RunId(str(uuid.uuid4())), flow=flow)
        now = self._clock()
        first = replace(accepted_event(request), parent=run, from_node=start)
        history = [first, *taken_over(old.plan, recorded, again)]
        events = [Recorded(seq=seq, at=now, run=request.run, event=event) for seq, event in enumerate(history, 1)]
        facts = {**accepted.facts, "mode": "background", "callback": None}
        await self._requests.keep(Accepted(request=request, at=now, facts=facts))
        await self._journal.append(tenant, events)
        await self._queue.offer(tenant, request.run, at=now)
        return request


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
