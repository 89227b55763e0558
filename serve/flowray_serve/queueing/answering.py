"""Paused runs: what they ask, and the answers that let them go on. No process waits for either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowray.engine.accepted import Accepted
from flowray.engine.events import Recorded, RunId, RunPaused, RunResumed
from flowray.engine.leasing import Lease, Queue, StoreForgotError
from flowray.engine.loop import standing
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.flow.types import Json, NodeId
from flowray.stores.requests import Requests
from flowray_serve.queueing.one_of_many import one_of_many
from flowray_serve.queueing.recall import Recall, read_all
from flowray_serve.queueing.waiting import let_wait

EXPIRED = "__expired__"
_CLAIM_S = 10.0
_TRIES = 20
_TRY_AGAIN_S = 0.1


class NotResumableError(ConflictError):
    """The run is not paused, somebody answered before, or the request is not the one it waits for."""

    code = "not_resumable"


class InvalidDecisionError(InvalidRequestError):
    """The decision is none of those that the request allows."""

    code = "invalid_decision"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a paused run asks. `at` is when it paused, in seconds since the epoch."""

    accepted: Accepted
    node: NodeId
    request: Mapping[str, Any]
    at: float


class Answering:
    """Lists what is asked and takes answers. `name` is whose claim it is while an answer is written down."""

    def __init__(
        self,
        queue: Queue,
        requests: Requests,
        journal: Journal,
        *,
        name: str = "answering",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._requests = requests
        self._journal = journal
        self._name = name
        self._clock = clock
        self._recall = Recall(queue, requests, journal, name=name)

    async def pause(self, request: RunRequest, facts: Mapping[str, Json]) -> None:
        """Put a run that paused in its gateway on record, and let it wait where background runs wait."""
        now = self._clock()
        await self._requests.keep(Accepted(request=request, at=now, facts=facts))
        await self._queue.offer(request.tenant, request.run, at=now)
        lease = None
        with suppress(StoreForgotError):
            lease = await self._queue.claim(request.tenant, request.run, holder=self._name, for_s=_CLAIM_S)
        if lease is not None:  # else an engine takes it, finds it paused, and lets it wait
            recorded = await read_all(self._journal, request.tenant, request.run)
            await let_wait(self._queue, self._requests, lease, recorded)

    async def pending(self, tenant: str, flow: str | None = None) -> AsyncGenerator[Asked, None]:
        """What this tenant's paused runs ask, of one flow or of all."""
        for run in await self._queue.parked(tenant):
            with one_of_many("Paused run not listed", tenant=tenant, run=run):
                for asked in await self._asked_by(tenant, run, flow):
                    yield asked

    async def _asked_by(self, tenant: str, run: RunId, flow: str | None) -> Sequence[Asked]:
        accepted = await self._requests.find(tenant, run)
        if accepted is None or flow not in (None, accepted.request.flow_id):
            return ()
        recorded = await read_all(self._journal, tenant, run)
        questions = standing(accepted.request, recorded).questions
        return [
            Asked(accepted=accepted, node=node, request=request, at=recorded[-1].at)
            for node, request in questions.items()
        ]

    async def answer(self, tenant: str, run: RunId, *, request_id: str, decision: Mapping[str, Json]) -> None:
        """Let a paused run go on with this decision.

        `NotFoundError` when there is no such run; `InvalidDecisionError` or `NotResumableError` when it is not an
        answer to what it asks.
        """
        accepted = await self._requests.find(tenant, run)
        if accepted is None:
            raise NotFoundError(f"There is no background run `{run[:80]}`.")
        await self._recall.remind(tenant, run)  # an answer that is on record counts, whatever Redis has lost
        for _ in range(_TRIES):
            recorded = await read_all(self._journal, tenant, run)
            node, request = _asked(accepted.request, recorded, request_id, decision)
            lease = await self._queue.claim(tenant, run, holder=self._name, for_s=_CLAIM_S)
            if lease is not None:
                said = RunResumed(node=node, request_id=request_id, decision=in_time(request, decision, self._clock()))
                await self._write(lease, recorded, said)
                return
            await asyncio.sleep(_TRY_AGAIN_S)  # an engine has just found it paused, and is about to let it wait
        raise _not_resumable(run)

    async def _write(self, lease: Lease, recorded: Sequence[Recorded], said: RunResumed) -> None:
        one = Recorded(seq=recorded[-1].seq + 1, at=self._clock(), run=lease.run, event=said)
        try:
            await self._journal.append(lease.tenant, [one], lease=lease.number)
            await self._requests.keep_journal(lease.tenant, lease.run, [*recorded, one])
        except ConflictError as cause:
            raise _not_resumable(lease.run) from cause
        finally:
            await self._queue.give_back(lease)


def in_time(request: Mapping[str, Any], decision: Mapping[str, Json], now: float) -> Mapping[str, Json]:
    """Return the decision, or, when it comes after the request's time, the fallback that the request names.

    As in Langflow, nobody watches the time: a late answer is rerouted when it comes.
    """
    limit_s, paused_at = request.get("timeout_seconds"), request.get("paused_at")
    if not isinstance(limit_s, int | float) or limit_s <= 0 or not isinstance(paused_at, str):
        return decision
    try:
        paused = datetime.fromisoformat(paused_at)
    except ValueError:
        return decision
    paused = paused if paused.tzinfo else paused.replace(tzinfo=UTC)
    if now - paused.timestamp() <= limit_s:
        return decision
    return {**decision, "action_id": request.get("fallback_action") or EXPIRED}


def _asked(
    request: RunRequest, recorded: list[Recorded], request_id: str, decision: Mapping[str, Json]
) -> tuple[NodeId, Mapping[str, Any]]:
    questions = standing(request, recorded).questions
    by_id = {str(asked.get("request_id")): (node, asked) for node, asked in questions.items()}
    found = by_id.get(request_id)
    # Langflow looks at the decision first, and holds it against whatever is asked.
    _, shown = found or next(iter(by_id.values()), (None, {}))
    allowed = shown.get("allowed_decisions") or []
    if allowed and decision.get("action_id") not in allowed:
        names = ", ".join(f"`{str(one)[:40]}`" for one in allowed[:20])
        raise InvalidDecisionError(f"`decision.action_id` is none of what the run asks for: {names}.")
    if found is None or not recorded or not isinstance(recorded[-1].event, RunPaused):
        raise _not_resumable(request.run)
    return found


def _not_resumable(run: RunId) -> NotResumableError:
    return NotResumableError(f"Run `{run}` is not paused, was answered before, or waits for another request.")
