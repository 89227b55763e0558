"""Accepting a run: it is in the record and in the queue before anybody is told that it was accepted."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from flowray.engine.accepted import Accepted, accepted_event
from flowray.engine.codec import dumps, loads
from flowray.engine.events import Event, Recorded, RunFinished, RunId
from flowray.engine.leasing import Queue
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import ConflictError, FlowRayError, NotFoundError
from flowray.flow.types import Json
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path, spelled
from flowray.stores.requests import Requests
from flowray_serve.queueing.one_of_many import one_of_many
from flowray_serve.queueing.recall import Recall, read_all

log = logging.getLogger(__name__)

# For so long after it was put on record, a run that the queue has not may be on its way into it.
_ON_ITS_WAY_S = 10.0

Admit = Callable[[str], Awaitable[int | None]]
"""Says how many runs of a tenant may wait at most, or refuses another one for other reasons."""


class IdempotencyConflictError(ConflictError):
    """The idempotency key was used before, for another request."""

    code = "idempotency_conflict"


@dataclass(frozen=True, kw_only=True)
class Idempotency:
    """A caller's own name for a request, and the digest of what it asked for."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str | None, *asked: bytes | str) -> Idempotency | None:
        """The key, when there is one, with the digest of everything it stands for."""
        if not key:
            return None
        parts = b"\0".join(one.encode() if isinstance(one, str) else one for one in asked)
        return cls(key=key, digest=hashlib.sha256(parts).hexdigest())


class Acceptance:
    """Writes accepted runs down and queues them."""

    def __init__(
        self,
        requests: Requests,
        queue: Queue,
        journal: Journal,
        objects: ObjectStore,
        *,
        admit: Admit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._queue = queue
        self._journal = journal
        self._objects = objects
        self._admit = admit
        self._clock = clock
        self._under_way: set[asyncio.Task[Accepted]] = set()
        self._recall = Recall(queue, requests, journal, name="acceptance")

    async def accept(
        self,
        request: RunRequest,
        facts: Mapping[str, Json],
        *,
        idempotency: Idempotency | None = None,
        begun: Sequence[Event] = (),
    ) -> Accepted:
        """The run that was accepted; with a known idempotency key, the one accepted then.

        `begun` is what its journal begins with, when that is more than in every run's. When this raises, nothing was
        accepted, as far as could still be seen to.
        """
        # Not stopped halfway when its caller leaves: a run on record that is in no queue is found much later only.
        accepting = asyncio.create_task(
            self._accept(request, facts, idempotency, begun), name=f"acceptance of run {request.run}"
        )
        self._under_way.add(accepting)
        accepting.add_done_callback(self._accepted)
        return await asyncio.shield(accepting)

    def _accepted(self, accepting: asyncio.Task[Accepted]) -> None:
        self._under_way.discard(accepting)
        if not accepting.cancelled():
            accepting.exception()  # told to the caller, unless nobody waits any more

    async def _accept(
        self,
        request: RunRequest,
        facts: Mapping[str, Json],
        idempotency: Idempotency | None,
        begun: Sequence[Event],
    ) -> Accepted:
        known: RunId | None = None
        if idempotency is not None:
            known = await self._known(request, idempotency)
            if known is not None and (there := await self._there(request.tenant, known)) is not None:
                return there
            if known is not None and await self._was_lost(request.tenant, known):
                known = await self._given_anew(request, idempotency, known)
            request = replace(request, run=known or request.run)
        most = await self._admit(request.tenant) if self._admit is not None else None
        accepted = Accepted(request=request, at=self._clock(), facts=facts)
        if idempotency is None:
            await self._enter_alone(accepted, begun, most)
        else:
            await self._enter_beside_others(accepted, begun, most, in_doubt=known is not None)
        return accepted

    async def _there(self, tenant: str, run: RunId) -> Accepted | None:
        """A run that was accepted; None as long as the call that put it on record may take it back.

        One that the queue has forgotten is left to `Recovery`, which knows whether an engine still has it.
        """
        there = await self._requests.find(tenant, run)
        if there is None or self._clock() - there.at > _ON_ITS_WAY_S:
            return there
        is_sure = await self._queue.knows(tenant, run) or await self._requests.is_closed(tenant, run)
        return there if is_sure else None

    async def _was_lost(self, tenant: str, run: RunId) -> bool:
        """Whether a run that is not on record has ended: when it was to be queued, a store was away for long."""
        if await self._requests.has(tenant, run):
            return False
        recorded = await read_all(self._journal, tenant, run)
        return bool(recorded) and isinstance(recorded[-1].event, RunFinished)

    async def _given_anew(self, request: RunRequest, idempotency: Idempotency, lost: RunId) -> RunId:
        """The run that the key stands for from now on instead of a lost one: this request's, or another call's."""
        anew = self._claim(request, idempotency)
        key = _place_of(request.tenant, idempotency)
        kept = await self._objects.change(key, lambda there: anew if loads(there)["run"] == lost else there)
        return request.run if kept is None else RunId(loads(kept)["run"])

    def _claim(self, request: RunRequest, idempotency: Idempotency) -> bytes:
        """What is kept under a key: the run that it stands for, and what was asked."""
        return dumps({"run": request.run, "digest": idempotency.digest, "at": self._clock()})

    async def _enter_alone(self, accepted: Accepted, begun: Sequence[Event], most: int | None) -> None:
        try:
            await self._requests.keep(accepted)
            await self._open(accepted.request, accepted.at, begun)
            await self._queue.offer(accepted.request.tenant, accepted.request.run, at=accepted.at, most=most)
        except FlowRayError:
            await self._take_back(accepted.request)
            raise

    async def _enter_beside_others(
        self, accepted: Accepted, begun: Sequence[Event], most: int | None, *, in_doubt: bool
    ) -> None:
        """Enter a run that other calls with the same key may enter, and take back when they are refused.

        Who queues it looks whether it is on record after that, and who takes it off the record whether it is queued:
        whichever comes last finds out, and puts it on record again. `in_doubt` is whether it counts as accepted when
        nobody can tell.
        """
        request = accepted.request
        try:
            await self._enter(accepted, begun, most)
            while not await self._requests.has(request.tenant, request.run):
                # An engine that has met it without its request has let go of it: it is queued again as well.
                await self._enter(accepted, begun, most)
        except FlowRayError:
            if not await self._is_accepted(request, in_doubt=in_doubt):
                await self._take_back(request)
                if await self._is_accepted(request, in_doubt=in_doubt):
                    await self._requests.keep(accepted)
                    await self._requests.drop_if_closed(request.tenant, request.run)
            raise

    async def _enter(self, accepted: Accepted, begun: Sequence[Event], most: int | None) -> None:
        request = accepted.request
        await self._requests.keep(accepted)
        with suppress(ConflictError):  # another call, one at the same moment or one that was refused, has begun it
            await self._open(request, accepted.at, begun)
        if not await self._queue.offer(request.tenant, request.run, at=accepted.at, most=most):
            # Another call was first; its run may be over by now.
            await self._requests.drop_if_closed(request.tenant, request.run)

    async def reopen(self, tenant: str, run: RunId) -> None:
        """Bring back the journal of an accepted run, if the store has forgotten it and nobody drives the run.

        Of a run that waited or was begun by another one, all of it; of all others, their beginning.
        """
        accepted = await self._requests.find(tenant, run)
        if accepted is None:
            return
        with suppress(ConflictError):
            if waited := await self._requests.journal(tenant, run):
                await self._journal.append(tenant, waited)
            else:
                await self._open(accepted.request, accepted.at)

    async def remind(self, tenant: str) -> int:
        """Let the tenant's runs go on that wait for what is on record already; how many."""
        reminded = 0
        for run in await self._queue.parked(tenant):
            with one_of_many("Run not reminded", tenant=tenant, run=run):
                reminded += await self._recall.remind(tenant, run)
        return reminded

    async def _open(self, request: RunRequest, at: float, begun: Sequence[Event] = ()) -> None:
        """Begin the journal, so that the run can be followed before an engine takes it."""
        events = begun or (accepted_event(request),)
        recorded = [Recorded(seq=seq, at=at, run=request.run, event=event) for seq, event in enumerate(events, 1)]
        if begun:  # what no request says has to be on record as well, see `reopen`
            await self._requests.keep_journal(request.tenant, request.run, recorded)
        await self._journal.append(request.tenant, recorded)

    async def _is_accepted(self, request: RunRequest, *, in_doubt: bool) -> bool:
        """Whether another call with the same idempotency key got the run accepted; `in_doubt` when nobody can tell."""
        try:
            return await self._queue.knows(request.tenant, request.run)
        except FlowRayError:
            return in_doubt

    async def _take_back(self, request: RunRequest) -> None:
        try:
            await self._requests.drop(request.tenant, request.run)
        except FlowRayError as error:
            facts = {"tenant": request.tenant, "run": request.run, "reason": error.message}
            log.warning("Refused run not taken back; it may run", extra={"action": "take_back_failed", **facts})

    async def _known(self, request: RunRequest, idempotency: Idempotency) -> RunId | None:
        """The run that this key was given for; None when the key is new, and now stands for this run."""
        key = _place_of(request.tenant, idempotency)
        if await self._objects.create(key, self._claim(request, idempotency)):
            return None
        try:
            there = loads(await self._objects.get(key))
        except NotFoundError:
            return None  # it expired in this moment
        if there["digest"] != idempotency.digest:
            raise IdempotencyConflictError(
                f"The idempotency key `{idempotency.key[:80]}` stands for another request, accepted as run "
                f"`{there['run']}`. Send the same request again, or another key."
            )
        return RunId(there["run"])


def _place_of(tenant: str, idempotency: Idempotency) -> str:
    return path(tenant, "idempotency", spelled(idempotency.key))
