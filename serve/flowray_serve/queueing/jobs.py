"""What the routes need of background runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from flowray.engine.accepted import Accepted
from flowray.engine.events import Recorded, RunId
from flowray.engine.leasing import Queue, StoreForgotError
from flowray.engine.outcome import Outcome
from flowray.engine.ports import Journal, Objects, RunRequest
from flowray.engine.whole import whole
from flowray.errors import NotFoundError
from flowray.flow.types import Json
from flowray.stores.requests import Requests
from flowray_serve.queueing.acceptance import Acceptance, Idempotency
from flowray_serve.queueing.accepted_journal import read_accepted
from flowray_serve.queueing.answering import Answering
from flowray_serve.queueing.posting import checked_url
from flowray_serve.queueing.recovery import Recovery
from flowray_serve.queueing.redriving import Redriving
from flowray_serve.queueing.reruns import Reruns
from flowray_serve.queueing.stopping import Stopping
from flowray_serve.timeline import Timeline

STATUSES = {
    "accepted": "queued",
    "running": "in_progress",
    "paused": "suspended",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""A run's status, as Langflow says it of a job."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a caller wants of a background run beside its result.

    `protocol` frames its events, `output_ids` narrows its answer, `callback` is told when it is over.
    """

    mode: str = "background"
    protocol: str = "langflow"
    expose_graph_state: bool | None = None
    output_ids: Sequence[str] | None = None
    callback: str | None = None
    idempotency: Idempotency | None = None

    def as_facts(self) -> Mapping[str, Json]:
        """What is kept of them beside the request."""
        return {
            "mode": self.mode,
            "protocol": self.protocol,
            "expose_graph_state": self.expose_graph_state,
            "output_ids": list(self.output_ids) if self.output_ids is not None else None,
            "callback": self.callback,
        }


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Background runs: accepted, looked up, waited for, stopped, driven again.

    `sync_s` is how long a synchronous caller waits; `private_hosts` may be called back beyond public ones.
    """

    acceptance: Acceptance
    stopping: Stopping
    answering: Answering
    reruns: Reruns
    requests: Requests
    journal: Journal
    objects: Objects
    redriving: Redriving
    recovery: Recovery
    queue: Queue
    secret: bytes
    private_hosts: Sequence[str] = ()
    sync_s: float = 30.0

    async def accept(self, request: RunRequest, wishes: Wishes) -> Accepted:
        """The run that was accepted, see `Acceptance.accept`; a callback that could never be told is refused.

        Under a known idempotency key its request is the one of then: its flow may have been another version.
        """
        checked_url(wishes.callback, private=self.private_hosts)
        return await self.acceptance.accept(request, wishes.as_facts(), idempotency=wishes.idempotency)

    async def find(self, tenant: str, run: str) -> Accepted:
        """An accepted run; `NotFoundError` when this tenant has none with this id."""
        found = await self.requests.find(tenant, RunId(run))
        if found is None:
            raise NotFoundError(f"There is no background run `{run[:80]}`.")
        return found

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncGenerator[Recorded, None]:
        """A run's events, see `read_accepted`."""
        return read_accepted(self.journal, self.requests, tenant, run, after=after, follow=follow)

    async def require_journal(self, tenant: str, run: RunId) -> None:
        """Raise what reading it would: a stream has no status to change once it is open."""
        async with aclosing(self.read(tenant, run)) as told:
            await anext(told, None)

    async def told(self, tenant: str, run: RunId, *, follow: bool = False) -> AsyncGenerator[Recorded, None]:
        """A run's events with their large results; with `follow`, to its end."""
        async for one in self.read(tenant, run, follow=follow):
            yield await whole(one, self.objects)

    async def job(self, taken: RunRequest, *, is_new: bool, **more: Any) -> dict[str, Any]:
        """An accepted run as a job; one that may have been taken before is looked up for how far it is."""
        status = "queued" if is_new else await self._status(taken.tenant, taken.run)
        return job_answer(taken.run, taken.flow_id, status, **more)

    async def _status(self, tenant: str, run: RunId) -> str:
        timeline = Timeline()
        # One whose journal the record will bring back is queued again with it: it waits.
        with suppress(StoreForgotError):
            async for one in self.read(tenant, run):
                timeline.add(one)
        return STATUSES[timeline.as_json()["status"]]

    async def wait(self, tenant: str, run: RunId, *, within_s: float) -> Outcome | None:
        """What it came to, when it is over in time."""
        outcome = Outcome()
        try:
            async with asyncio.timeout(within_s), aclosing(self.told(tenant, run, follow=True)) as told:
                async for one in told:
                    outcome.add(one)
        except TimeoutError:
            return None
        return outcome


def job_answer(run: str, flow_id: str, status: str, **more: Any) -> dict[str, Any]:
    """A job in the shape of Langflow's WorkflowJobResponse."""
    links = {
        "status": f"/api/v2/workflows?job_id={run}",
        "events": f"/api/v2/workflows/{run}/events",
        "stop": "/api/v2/workflows/stop",
    }
    job = {"job_id": run, "flow_id": flow_id, "object": "job", "status": status, "links": links}
    return {**job, "errors": [], "globals": {}, **more}
